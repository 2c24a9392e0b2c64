"""A real server process for the examples, and a client that speaks in events.

Ports come from the operating system; whoever starts a server waits for the line that names its address.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from websockets.asyncio.client import ClientConnection

__all__ = (
    "ROOT",
    "START_TIMEOUT_S",
    "Server",
    "Talker",
    "chat_ticket",
    "pack",
    "running",
    "serve_app",
    "serve_examples",
    "unpack",
)

ROOT: Final = Path(__file__).parents[2]
START_TIMEOUT_S: Final = 30.0
STOP_TIMEOUT_S: Final = 15.0

_ADDRESS: Final = re.compile(r"http://127\.0\.0\.1:(\d+)")


class Server:
    """A server in a process of its own."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        self._command = list(command)
        self._environment = dict(environment or {})
        self._lines: list[str] = []
        self._has_spoken = threading.Event()
        self.port = 0
        self.start()

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return "".join(self._lines)

    @property
    def pid(self) -> int:
        return self._process.pid

    def start(self) -> None:
        """Start, on the same port as before if there was one, and return when the address is known."""
        self._has_spoken.clear()
        self._process = subprocess.Popen(
            [*self._command, "--port", str(self.port)],
            cwd=ROOT,
            env={**os.environ, **self._environment, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()
        if not self._has_spoken.wait(START_TIMEOUT_S) or self._process.poll() is not None:
            self.stop(signal.SIGKILL)
            raise RuntimeError(f"server did not start: {self.log}")

    def stop(self, with_signal: signal.Signals = signal.SIGTERM) -> int:
        """End, and return the exit code."""
        self._process.send_signal(with_signal)
        try:
            code = self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise
        finally:
            self._reader.join()
            assert self._process.stdout is not None
            self._process.stdout.close()
        return code

    def is_running(self) -> bool:
        return self._process.poll() is None

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self._lines.append(line)
            if address := _ADDRESS.search(line):
                self.port = int(address[1])
                self._has_spoken.set()
        self._has_spoken.set()


@contextmanager
def serve_app(target: str, *options: str) -> Iterator[Server]:
    """Serve one example alone; in the end its log must be free of tracebacks."""
    with running([sys.executable, "-m", "uvicorn", target, *options]) as server:
        yield server


@contextmanager
def serve_examples() -> Iterator[Server]:
    """Serve all examples, as `make demo` does."""
    with running([sys.executable, "-m", "examples"]) as server:
        yield server


@contextmanager
def running(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Run a command that serves; in the end its log must be free of tracebacks."""
    server = Server(command, environment)
    try:
        yield server
    finally:
        if server.is_running():
            server.stop()
    assert "Traceback" not in server.log, server.log


def chat_ticket(server: Server, name: str, *, under: str = "") -> str:
    """Return the query of a ticket for the chat, which lies `under` a path."""
    asked = urllib.request.Request(f"{server.http}{under}/ticket?name={quote(name)}", method="POST")
    with urllib.request.urlopen(asked, timeout=10) as answer:
        return f"ticket={json.load(answer)['ticket']}"


class Talker:
    """A client that sends events and takes frames one by one."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def tell(self, event_type: str, data: object = None, *, reply_to: str | int | None = None) -> None:
        """Send an event, a binary one if `data` is bytes."""
        header = {"type": event_type} if reply_to is None else {"type": event_type, "id": reply_to}
        if isinstance(data, bytes):
            await self.connection.send(pack(header, data))
        else:
            await self.connection.send(json.dumps({**header, "data": data}))

    async def next(self) -> dict[str, Any]:
        """Return the next frame; a binary event's bytes are its `data`."""
        message = await self.connection.recv()
        if isinstance(message, str):
            frame: dict[str, Any] = json.loads(message)
            return frame
        frame, data = unpack(message)
        return {**frame, "data": data}

    async def ask(self, event_type: str, data: object = None) -> dict[str, Any]:
        """Send an event with an id and return its reply, passing over what comes before."""
        await self.tell(event_type, data, reply_to="question")
        while True:
            frame = await self.next()
            if frame.get("reply") == "question":
                return frame


def pack(header: dict[str, Any], data: bytes) -> bytes:
    """Return a binary event: two bytes with the header's length, the header as JSON, the data."""
    head = json.dumps(header).encode()
    return len(head).to_bytes(2, "big") + head + data


def unpack(message: bytes) -> tuple[dict[str, Any], bytes]:
    """Take apart what `pack` put together."""
    start = 2 + int.from_bytes(message[:2], "big")
    return json.loads(message[2:start]), message[start:]
