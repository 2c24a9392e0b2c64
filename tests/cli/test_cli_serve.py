"""`roomful serve` and `roomful --version`, as processes of their own."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from websockets.sync.client import connect

import roomful

APP = """
import gc
from roomful import Consumer, Hub, on
from roomful.routing import ProtocolTypeRouter, URLRouter, route

hub = Hub({options})

class Chat(Consumer):
    async def connect(self, room: str) -> None:
        await self.join(room)

    @on("collector")
    async def collector(self) -> list[int]:
        return [gc.get_threshold()[0], gc.get_freeze_count()]

    @on("detached")
    async def detached(self) -> bool:
        return type(self.connection._wire).__module__.startswith("roomful.server")

app = ProtocolTypeRouter({{"websocket": URLRouter([route("/ws/{{room}}", Chat.as_asgi(hub=hub))])}}, hub=hub)

def make():
    return app
"""


def roomful_command(*arguments: str) -> list[str]:
    """Return the command line of a `roomful` command."""
    return [sys.executable, "-m", "roomful", *arguments]


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command that ends by itself."""
    return subprocess.run(
        roomful_command(*arguments), cwd=folder, capture_output=True, text=True, timeout=30, check=False
    )


@contextmanager
def serving(folder: Path, *arguments: str) -> Iterator[int]:
    """Serve, and give the port."""
    command = roomful_command("serve", *arguments, "--port", "0")
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            log = ""
            # With several workers the address is said before any of them listens.
            while not ("startup complete" in log and "running on" in log):
                line = process.stderr.readline()
                assert line, f"the server did not start: {log}"
                log += line
            address = re.search(r"running on https?://[^:]+:(\d+)", log)
            assert address is not None
            yield int(address[1])
        finally:
            process.terminate()
            process.stderr.read()
            # Uvicorn raises the signal again once it has shut down in good order.
            assert process.wait(20) in (0, -15)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with an application."""
    (tmp_path / "site_app.py").write_text(APP.format(options=""))
    return tmp_path


def test_version_is_the_package_s(tmp_path: Path) -> None:
    """`roomful --version` says which Roomful this is."""
    done = run(tmp_path, "--version")
    assert (done.returncode, done.stdout) == (0, f"roomful {roomful.__version__}\n")


def test_no_command_is_wrong_usage(tmp_path: Path) -> None:
    """Without a command the help is shown, and the exit code says wrong usage."""
    done = run(tmp_path)
    assert done.returncode == 2
    assert "serve" in done.stderr


@pytest.mark.parametrize("app", ["nothing_here:app", "site_app", "site_app:nothing"])
def test_serve_application_that_is_not_there_is_one_clear_line(folder: Path, app: str) -> None:
    """No traceback: the name is what is wrong."""
    done = run(folder, "serve", app, "--port", "0")
    assert done.returncode == 3
    assert "roomful serve:" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "wrong",
    [
        ("--timeout-graceful-shutdown", "0"),
        ("--port", "70000"),
        ("--port", "x"),
        ("--workers", "0"),
        ("--workers", "2", "--reload"),
    ],
)
def test_serve_wrong_options_are_wrong_usage(folder: Path, wrong: tuple[str, ...]) -> None:
    """Exit code 2, before anything is started."""
    assert run(folder, "serve", "site_app:app", *wrong).returncode == 2


def test_serve_memory_layer_under_several_workers_is_an_error_at_start(folder: Path) -> None:
    """Found once, before any worker is started; the text says what to do."""
    (folder / "site_app.py").write_text(APP.format(options="'memory://'"))
    done = run(folder, "serve", "site_app:app", "--workers", "2", "--port", "0")
    assert done.returncode == 1
    assert "MemoryLayer reaches one process and the server runs 2" in done.stderr
    assert "shared=False" in done.stderr


def test_serve_several_workers_with_rooms_of_their_own(folder: Path) -> None:
    """`Hub(shared=False)` says that each worker has its own rooms, and then it serves."""
    (folder / "site_app.py").write_text(APP.format(options="shared=False"))
    with serving(folder, "site_app:app", "--workers", "2") as port:
        # A worker says that it has started a moment before it listens.
        until = time.monotonic() + 20
        while True:
            try:
                client = connect(f"ws://127.0.0.1:{port}/ws/a")
                break
            except ConnectionRefusedError:
                assert time.monotonic() < until
        with client:
            assert '"type":"roomful.joined"' in client.recv()


@pytest.mark.parametrize("options", [("site_app:app",), ("site_app:make", "--factory")])
def test_serve_uses_the_protocol_class_and_sets_the_collector(folder: Path, options: tuple[str, ...]) -> None:
    """The socket is adopted, and what was built at start is set aside from collections."""
    with serving(folder, *options) as port, connect(f"ws://127.0.0.1:{port}/ws/a") as client:
        client.recv()
        client.send('{"type":"detached","id":1}')
        assert client.recv() == '{"reply":1,"data":true}'
        client.send('{"type":"collector","id":2}')
        threshold, frozen = map(int, re.findall(r"\d+", client.recv().split('"data"')[1]))
    assert threshold > 2000
    assert frozen > 10_000


def test_serve_taken_port_is_a_clear_error(folder: Path) -> None:
    """The address that is taken is named."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run(folder, "serve", "site_app:app", "--port", str(port))
    assert done.returncode != 0
    assert f"('127.0.0.1', {port}): address already in use" in done.stderr


ENDLESS = """
import asyncio

async def app(scope, receive, send):
    if scope["type"] == "http":
        await asyncio.Event().wait()
"""


def test_serve_bounds_the_time_of_its_end(tmp_path: Path) -> None:
    """A request that never ends does not keep a server that was told to stop."""
    (tmp_path / "site_app.py").write_text(ENDLESS)
    with serving(tmp_path, "site_app:app", "--timeout-graceful-shutdown", "1") as port:
        client = socket.create_connection(("127.0.0.1", port), timeout=5)
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    client.close()
