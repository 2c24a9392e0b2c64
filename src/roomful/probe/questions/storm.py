"""Many connections: at first one after the other, then all at once.

The first tells whether so many may be open at all, the second whether so many may come together. A connection that
the kernel had no room for is asked for again after a second: our own socket counts that.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from roomful.probe.connection import Connection
from roomful.probe.errors import Unreachable
from roomful.probe.evidence.procfs import parse_counters
from roomful.probe.evidence.tcp_info import tcp_info
from roomful.probe.opening import open_connection
from roomful.probe.target import Target

__all__ = ("LATE_S", "Files", "ask_storm", "in_time", "open_in_turn", "open_together")

Files = tuple[int, int | None]
"""How many descriptors a process has, and how many it may have."""

LATE_S: Final = 0.9
"""TCP asks for a connection again after one second (RFC 6298 §2)."""
_IN_TURN_S: Final = 1.5
"""One connection may take so long when nobody else comes."""
_IN_TURN_ALL_S: Final = 4.0
_TOGETHER_S: Final = 3.2
_STORMS: Final = 3
_MAX_BYTES: Final = 1 << 30


async def ask_storm(
    target: Target,
    *,
    wanted: int,
    clock: Callable[[], float],
    files: Callable[[], list[Files]],
    local: bool,
) -> dict[str, object]:
    """Open `wanted` connections in turn, close them, and open them together.

    Args:
        target: Whom.
        wanted: How many.
        clock: Seconds since the run began.
        files: The descriptors of the server's processes, as far as they can be seen.
        local: Whether the server is on this machine, so that the kernel's counters are its too.
    """
    at_s = clock()
    in_turn = await open_in_turn(target, wanted, files)
    connections: list[dict[str, object]] = []
    answer: dict[str, object] = {
        "at_s": round(at_s, 4),
        "wanted": wanted,
        "in_turn": in_turn,
        "connections": [],
        "listen_overflows": None,
        "backlog": _backlog(target) if local else None,
    }
    if in_turn["opened"] == wanted:
        before = _overflows() if local else None
        for _ in range(_STORMS):
            # A quick server may accept as fast as we connect; that is luck, and not so each time.
            connections = await open_together(target, wanted)
            if in_time(connections) < wanted:
                break
        after = _overflows() if local else None
        answer["connections"] = connections
        answer["listen_overflows"] = None if before is None or after is None else after - before
    return answer


async def open_in_turn(target: Target, wanted: int, files: Callable[[], list[Files]]) -> dict[str, object]:
    """Open one after the other and hold them; close all."""
    held: list[Connection] = []
    error: str | None = None
    began = time.perf_counter()
    slowest_s = 0.0
    try:
        for number in range(wanted):
            start = time.perf_counter()
            try:
                async with asyncio.timeout(_IN_TURN_S):
                    held.append(await open_connection(target, number, None, max_bytes=_MAX_BYTES))
            except (Unreachable, TimeoutError) as failure:
                error = str(failure) or f"no handshake within {_IN_TURN_S:g} s"
                break
            slowest_s = max(slowest_s, time.perf_counter() - start)
            if time.perf_counter() - began > _IN_TURN_ALL_S:
                break
        seen = files()
        lived = sum(connection.end is None for connection in held)
    finally:
        _close(held)
    await asyncio.sleep(0)
    most = max(seen, key=lambda each: each[0] / (each[1] or 1 << 30), default=None)
    return {
        "opened": len(held),
        "lived": lived,
        "slowest_s": round(slowest_s, 6),
        "error": error,
        "descriptors": most[0] if most else None,
        "descriptor_limit": most[1] if most else None,
    }


def in_time(connections: Sequence[Mapping[str, object]]) -> int:
    """Return how many opened before TCP would have asked for them again."""
    times = [each["open_s"] for each in connections]
    return sum(isinstance(time_s, float) and time_s < LATE_S for time_s in times)


async def open_together(
    target: Target, wanted: int, *, timeout_s: float = _TOGETHER_S
) -> list[dict[str, object]]:
    """Open all at once and say of each how long it took; close all."""
    uri = target.uri
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(uri.host, uri.port, type=socket.SOCK_STREAM)
    family, kind, proto, _, address = found[0]
    sockets = [socket.socket(family, kind, proto) for _ in range(wanted)]
    began = time.perf_counter()
    for sock in sockets:
        # Without a pause between them: that is the point.
        sock.setblocking(False)
        sock.connect_ex(address)
    opened: list[Connection] = []

    async def one(number: int, sock: socket.socket) -> dict[str, object]:
        connect_s = open_s = error = retries = None
        try:
            async with asyncio.timeout(timeout_s):
                await _writable(sock)
                connect_s = time.perf_counter() - began
                number_of_error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if number_of_error:
                    raise OSError(number_of_error, "refused")
                opened.append(
                    await open_connection(target, number, None, max_bytes=_MAX_BYTES, connected=sock)
                )
                open_s = time.perf_counter() - began
        except (TimeoutError, OSError, Unreachable) as failure:
            error = str(failure) or f"not open within {timeout_s:g} s"
        with suppress(OSError):
            retries = tcp_info(sock).get("total_retrans")
        return {"connect_s": connect_s, "open_s": open_s, "retries": retries, "error": error}

    try:
        return list(await asyncio.gather(*(one(number, sock) for number, sock in enumerate(sockets))))
    finally:
        _close(opened)
        await asyncio.sleep(0)
        for sock in sockets:
            sock.close()


async def _writable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_writer(sock, _set, ready)
    try:
        await ready
    finally:
        loop.remove_writer(sock)


def _set(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def _close(connections: list[Connection]) -> None:
    for connection in connections:
        connection.close()
        connection.abort()


def _overflows() -> int | None:
    try:
        return parse_counters(Path("/proc/net/netstat").read_text()).get("TcpExt.ListenOverflows")
    except (OSError, ValueError):
        return None


def _backlog(target: Target) -> int | None:
    """Return how many connections may wait at the server's port, as `ss` says."""
    command = ["ss", "-ltnH", f"sport = :{target.uri.port}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=2, check=False)  # noqa: S603  # no shell; the port is a number
        return max((int(line.split()[2]) for line in done.stdout.splitlines()), default=None)
    except (OSError, ValueError, IndexError, subprocess.SubprocessError):
        return None
