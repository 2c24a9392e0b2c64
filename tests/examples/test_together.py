"""All examples on one server, as `make demo` starts them."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx2
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.examples.serving import ROOT, Server, Talker, chat_ticket, serve_examples


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve_examples() as server:
        yield server


async def test_every_example_answers_under_its_path(server: Server) -> None:
    """Pages, sockets and hubs work in mounted applications too."""
    async with httpx2.AsyncClient(base_url=server.http, trust_env=False, follow_redirects=True) as http:
        home = (await http.get("/")).text
        for name in ("broadcast", "chat", "layered"):
            assert f'href="{name}/"' in home
            for path in (f"/{name}/", f"/{name}"):
                page = await http.get(path)
                assert (200, f"/{name}/") == (page.status_code, page.url.path)
            assert (await http.get(f"/{name}/{name}.js")).status_code == 200
        room = (await http.post("/layered/rooms", json={"title": "Tea", "capacity": 2})).json()

        async with (
            connect(f"{server.ws}/broadcast/ws") as broadcast,
            connect(f"{server.ws}/chat/ws/tea?{ticket(server)}") as chat,
            connect(f"{server.ws}/layered/rooms/{room['id']}/feed") as feed,
        ):
            await broadcast.send("Hello")
            assert await broadcast.recv() == "Server received: Hello"
            assert "at" in (await Talker(chat).ask("post", {"text": "Hello"}))["data"]
            assert (await Talker(feed).next())["type"] == "roomful.joined"
            await http.post(f"/layered/rooms/{room['id']}/members", json={"name": "Ada"})
            assert (await Talker(feed).next())["type"] == "JOIN"


@pytest.mark.parametrize(
    "path", ["/", "/nothing", "/chat/", "/chat/nothing", "/chat/base.css", "/layered/rooms"]
)
async def test_socket_where_none_is_gets_a_refusal(path: str, server: Server) -> None:
    """A handshake on another path is refused by the framework, without a traceback in the log."""
    with pytest.raises(InvalidStatus) as refused:
        await connect(f"{server.ws}{path}")

    assert refused.value.response.status_code in (403, 404)
    assert "Traceback" not in server.log


def test_taken_port_is_one_clear_line() -> None:
    """Whoever starts a second one is told why it does not work and what to do, not where in the program."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        ended = subprocess.run(
            [sys.executable, "-m", "examples", "--port", str(port)],
            cwd=ROOT,
            check=False,
            capture_output=True,
            text=True,
            timeout=30,
        )

    assert ended.returncode == 1
    assert ended.stdout == ""
    assert (
        f"cannot listen on 127.0.0.1:{port}: another program listens there; "
        "choose another one: PORT=… or --port\n"
    ) == ended.stderr


@pytest.mark.parametrize("port", ["-1", "65536", "http", "²"])
def test_port_that_is_none_is_refused(port: str) -> None:
    """A mistyped port is a usage error."""
    ended = subprocess.run(
        [sys.executable, "-m", "examples", f"--port={port}"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )

    assert ended.returncode == 2
    assert "is no port" in ended.stderr


async def test_ctrl_c_ends_quickly_also_with_open_pages() -> None:
    """Pages are told that the server goes away; one that does not answer holds nothing up."""
    with serve_examples() as server:
        polite = [await connect(f"{server.ws}/chat/ws/tea?{ticket(server)}") for _ in range(3)]
        with rude_client(server, f"/chat/ws/tea?{ticket(server)}"), rude_client(server, "/broadcast/ws"):
            started = time.monotonic()
            code = server.stop(signal.SIGINT)
            took_s = time.monotonic() - started

        assert code == 0
        assert took_s < 8
        assert "Ended." in server.log
        for client in polite:
            with contextlib.suppress(ConnectionClosed):
                async for _ in client:
                    pass
            assert client.close_code in (1001, 1012, 4001)


def ticket(server: Server) -> str:
    """Return the query that lets somebody into the chat."""
    return chat_ticket(server, "Ada", under="/chat")


def rude_client(server: Server, path: str) -> socket.socket:
    """Return a socket that has shaken hands and will never read or write again."""
    client = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    client.sendall(
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    assert client.recv(1024).startswith(b"HTTP/1.1 101")
    return client
