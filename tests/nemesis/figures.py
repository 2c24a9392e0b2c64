"""What the scripts that take figures share: the server, members that read with little work, a source."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import socket
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import quote

from roomful.core.positions import Position
from roomful.testing.nemesis import ServerProcess
from roomful.testing.nemesis.wire import Wire, dial

__all__ = (
    "ROOT",
    "Member",
    "Source",
    "cpu_s",
    "figure_server",
    "forget_peak",
    "position_of",
    "raise_file_limit",
)

ROOT: Final = Path(__file__).parents[2]

_POS: Final = b'"pos":"'


def figure_server(*, core: int | None = None) -> ServerProcess:
    """Return the server of `figure_app`, on a core of its own if one is named."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    # Lines for every connection would be a tenth of what a handshake costs.
    options = ["--port", str(port), "--log-level", "warning"]
    command = [sys.executable, "-m", "roomful", "serve", "tests.nemesis.figure_app:app", *options]
    if core is not None:
        command = ["taskset", "-c", str(core), *command]
    path = os.pathsep.join(filter(None, sys.path))
    return ServerProcess(command, port=port, cwd=ROOT, env={"PYTHONPATH": path})


def raise_file_limit() -> None:
    """Let this process and its children have as many sockets as the system allows."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def cpu_s(pid: int) -> float:
    """Return the CPU seconds that a process has used (`man 5 proc`, stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def forget_peak(pid: int) -> None:
    """Let the peak of a process's memory begin anew (`man 5 proc`, clear_refs)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def position_of(frame: bytes) -> Position:
    """Return the position of a frame that was pushed to a room, without reading the rest."""
    start = frame.rindex(_POS) + len(_POS)
    return Position.parse(frame[start : frame.index(b'"', start)].decode())


class Member:
    """A member of a room, which resumes when it is connected again.

    Args:
        path: Where it connects, with the room.
        event: Called with each event, as the bytes of its frame, and with each notice.

    Attributes:
        joined: What the last `roomful.joined` said.
    """

    def __init__(self, path: str, event: Callable[[bytes], None]) -> None:
        self.joined: dict[str, Any] | None = None
        self.wire: Wire | None = None
        self._path = path
        self._event = event
        self._room = path.rpartition("/")[2]
        self._last = b""
        self._is_joined: asyncio.Future[None] | None = None

    @property
    def at(self) -> Position | None:
        """Where it stands."""
        return position_of(self._last) if self._last else None

    async def connect(self, port: int, *, receive_buffer: int | None = None) -> Self:
        """Connect; return once the server has said where the room stands, and everything before has come.

        Raises:
            ConnectionError: The connection ended before.
        """
        query = f"?resume={quote(json.dumps({self._room: str(self.at)}))}" if self.at else ""
        self.wire = wire = Wire(self._path + query, self._received)
        self._is_joined = asyncio.get_running_loop().create_future()
        await dial(port, wire, receive_buffer=receive_buffer)
        ended = asyncio.ensure_future(wire.ended())
        waited: set[asyncio.Future[object]] = {ended, self._is_joined}  # type: ignore[arg-type] # a set is invariant
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            raise ConnectionError(f"connection ended with {wire.close_code} before it was a member")
        ended.cancel()
        return self

    def _received(self, frame: bytes) -> None:
        if not frame.startswith(b'{"type":"roomful.'):
            self._last = frame
            self._event(frame)
        elif frame.startswith(b'{"type":"roomful.joined"'):
            self._last = frame
            self.joined = json.loads(frame)
            if self._is_joined is not None and not self._is_joined.done():
                self._is_joined.set_result(None)
        else:
            self._event(frame)


class Source:
    """A connection whose consumer pushes."""

    def __init__(self) -> None:
        self._wire = Wire("/source", self._received)
        self._replies: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._numbers = count()

    async def connect(self, port: int) -> Self:
        """Connect."""
        await dial(port, self._wire)
        assert await self._wire.opened(10)
        return self

    async def push(self, **order: object) -> dict[str, Any]:
        """Have events pushed; see `figure_app.Order`. Returns what became of them."""
        number = next(self._numbers)
        self._replies[number] = asyncio.get_running_loop().create_future()
        self._wire.send(json.dumps({"type": "push", "id": number, "data": order}).encode())
        return await self._replies[number]

    def _received(self, frame: bytes) -> None:
        reply = json.loads(frame)
        future = self._replies.pop(reply["reply"])
        if "error" in reply:
            future.set_exception(RuntimeError(str(reply["error"])))
        else:
            future.set_result(reply["data"])
