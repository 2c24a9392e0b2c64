"""Carriers: what connects members to a server and brings them what comes.

The pump, in C, is far cheaper than any server in Python, so that the server is what a round measures. Without a
compiler, and over TLS, protocols on uvloop do the same.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Protocol, TypeAlias, cast

from bench.frames import client_frame

__all__ = (
    "Carrier",
    "LogEntry",
    "LoopCarrier",
    "Member",
    "Refused",
    "client_context",
    "open_sockets",
    "pong_frame",
)

_PONG = 0xA
_CONNECTING_AT_ONCE = 64
_HANDSHAKE_S = 30.0
_TICK_S = 0.001
_MAX_HEAD_BYTES = 4096


LogEntry: TypeAlias = tuple[int, int, int]
"""A read: when, in nanoseconds of `time.perf_counter_ns`, whose, and how far that member had got."""


class Refused(Exception):
    """A server did not accept a connection."""


class Member(Protocol):
    """Who gets what comes to one socket."""

    at: int
    pong: Callable[[bytes], None] | None

    @property
    def is_slow(self) -> bool:
        """Whether what comes cannot be checked by comparing it with the stream alone."""

    def feed(self, data: bytes) -> None:
        """Take what was read."""

    def ended(self) -> None:
        """Know that the socket has ended."""


class Carrier(Protocol):
    """Connects members, writes for them and feeds them."""

    async def connect(self, ports: Sequence[int], paths: Sequence[str], members: Sequence[Member]) -> None:
        """Open a connection for each member; where there are several ports, each takes an equal part of them in turn.

        Raises:
            Refused: The server did not accept one.
        """

    def write(self, index: int, data: bytes) -> None:
        """Write for one member; all of it goes out, in the order of the calls."""

    async def run(self, tick: Callable[[], bool], *, every_s: float = _TICK_S) -> None:
        """Feed the members until `tick` returns False; it is called about as often as `every_s` says."""

    def busy_s(self) -> float:
        """Return how long something was to be done until now."""

    def behind(self) -> int:
        """Return how many bytes lie between the quickest and the slowest member."""

    def sync(self) -> None:
        """Let the members know how far they have got."""

    def log(self) -> Iterable[LogEntry]:
        """Return the reads that were noted."""

    def close(self) -> None:
        """End all connections."""


def client_context() -> ssl.SSLContext:
    """Return a context that trusts whoever answers: the certificate is our own and of today."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def request(port: int, path: str) -> bytes:
    """Return the request of a handshake. The key is RFC 6455's own; nothing here checks the answer to it."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


def pong_frame(payload: bytes) -> bytes:
    """Return the answer to a ping."""
    return client_frame(payload, opcode=_PONG)


def port_of(number: int, ports: Sequence[int], count: int) -> int:
    """Return where one of so many members connects."""
    return ports[number * len(ports) // count]


def open_sockets(ports: Sequence[int], paths: Sequence[str]) -> Iterator[tuple[socket.socket, bytes]]:
    """Open a connection for each path, some at a time; return their sockets, which do not block, in order.

    With each comes what the server sent behind the handshake.

    Raises:
        Refused: The server did not accept one.
    """
    for begin in range(0, len(paths), _CONNECTING_AT_ONCE):
        asked = []
        for number, path in enumerate(paths[begin : begin + _CONNECTING_AT_ONCE], begin):
            port = port_of(number, ports, len(paths))
            sock = socket.create_connection(("127.0.0.1", port), timeout=_HANDSHAKE_S)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.sendall(request(port, path))
            asked.append(sock)
        for sock in asked:
            rest = _granted(sock)
            sock.setblocking(False)
            yield sock, rest


def _granted(sock: socket.socket) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head:
        got = sock.recv(_MAX_HEAD_BYTES)
        head += got
        if not got or len(head) > _MAX_HEAD_BYTES:
            raise Refused(f"the handshake ended with {head[:100]!r}")
    if not head.startswith(b"HTTP/1.1 101"):
        raise Refused(head.split(b"\r\n", 1)[0].decode("latin-1"))
    return head.partition(b"\r\n\r\n")[2]


class _Socket(asyncio.Protocol):
    """The protocol of one member on an event loop: the handshake, then the member."""

    def __init__(
        self, request_: bytes, index: int, member: Member, log: list[LogEntry] | None = None
    ) -> None:
        self._request = request_
        self._index = index
        self._member = member
        self._log = log
        self._head = b""
        self.granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        self.transport = cast("asyncio.Transport", transport)
        self._member.pong = self._answer
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Read the answer, then feed the member."""
        if self.granted.done():
            self._member.feed(data)
            if self._log is not None:
                self._log.append((time.perf_counter_ns(), self._index, self._member.at))
            return
        self._head += data
        head, found, rest = self._head.partition(b"\r\n\r\n")
        if not found:
            return
        if head.startswith(b"HTTP/1.1 101"):
            self.granted.set_result(None)
            if rest:
                self._member.feed(rest)
        else:
            self._refuse(head.split(b"\r\n", 1)[0].decode("latin-1"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Know that the server hung up, or that this side did."""
        self._refuse(f"the connection ended: {exc!r}")
        self._member.ended()

    def _answer(self, payload: bytes) -> None:
        self.transport.write(pong_frame(payload))

    def _refuse(self, why: str) -> None:
        if not self.granted.done():
            self.granted.set_exception(Refused(why))
        self.transport.abort()


class LoopCarrier:
    """Carries by protocols on the running event loop.

    Args:
        tls: The context to connect with, or None.
        logs: Whether reads are noted with their time.
    """

    def __init__(self, tls: ssl.SSLContext | None = None, *, logs: bool = False) -> None:
        self._tls = tls
        self._log: list[LogEntry] | None = [] if logs else None
        self._sockets: dict[int, _Socket] = {}
        self._members: Sequence[Member] = ()

    async def connect(self, ports: Sequence[int], paths: Sequence[str], members: Sequence[Member]) -> None:
        """Open a connection for each member, some at a time."""
        self._members = members
        numbers = iter(range(len(paths)))
        loop = asyncio.get_running_loop()

        async def work() -> None:
            for number in numbers:
                port = port_of(number, ports, len(paths))
                make = partial(_Socket, request(port, paths[number]), number, members[number], self._log)
                _, protocol = await loop.create_connection(make, "127.0.0.1", port, ssl=self._tls)
                self._sockets[number] = protocol
                async with asyncio.timeout(_HANDSHAKE_S):
                    await protocol.granted

        async with asyncio.TaskGroup() as group:
            for _ in range(min(_CONNECTING_AT_ONCE, len(paths))):
                group.create_task(work())

    def write(self, index: int, data: bytes) -> None:
        """Write for one member."""
        self._sockets[index].transport.write(data)

    async def run(self, tick: Callable[[], bool], *, every_s: float = _TICK_S) -> None:
        """Feed the members until `tick` returns False."""
        while tick():  # noqa: ASYNC110 -- what ends it is seen by looking, in the pump too
            await asyncio.sleep(every_s)

    def busy_s(self) -> float:
        """Return how long this process has worked."""
        return time.process_time()

    def behind(self) -> int:
        """Return how many bytes lie between the quickest and the slowest member."""
        places = [member.at for member in self._members]
        return max(places) - min(places)

    def sync(self) -> None:
        """Do nothing: the members know."""

    def log(self) -> Iterable[LogEntry]:
        """Return the reads that were noted."""
        return self._log or ()

    def close(self) -> None:
        """End all connections."""
        for protocol in self._sockets.values():
            protocol.transport.abort()
