"""A client: the handshake, and then one follower of a room's stream on one socket."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from functools import partial
from typing import cast

from bench.frames import client_frame
from bench.load.stream import Follower, Stream

__all__ = ("Client", "Refused", "connect", "connect_all")

_PONG = 0xA
_CONNECTING_AT_ONCE = 64
_HANDSHAKE_S = 30.0


class Refused(Exception):
    """A server did not accept a connection."""


class _Handshake(asyncio.Protocol):
    """Asks for the upgrade, and hands the socket to `ready` once it is granted."""

    def __init__(self, request: bytes, ready: Callable[[asyncio.Transport], asyncio.Protocol]) -> None:
        self._request = request
        self._ready = ready
        self._head = b""
        self.granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Read the answer."""
        self._head += data
        head, found, rest = self._head.partition(b"\r\n\r\n")
        if not found:
            return
        if not head.startswith(b"HTTP/1.1 101"):
            self._refuse(head.split(b"\r\n", 1)[0].decode("latin-1"))
            return
        protocol = self._ready(self._transport)
        self._transport.set_protocol(protocol)
        self.granted.set_result(None)
        if rest:
            protocol.data_received(rest)

    def connection_lost(self, exc: Exception | None) -> None:
        """Know that the server hung up."""
        self._refuse(f"the connection ended: {exc!r}")

    def _refuse(self, why: str) -> None:
        if not self.granted.done():
            self.granted.set_exception(Refused(why))
        self._transport.abort()


class Client(Follower, asyncio.Protocol):
    """A follower that is fed by its socket.

    Attributes:
        lost: Whether the socket has ended.
        after_feed: Called after each read, for members that do something about it.
    """

    __slots__ = ("after_feed", "lost", "transport")

    def __init__(self, transport: asyncio.Transport, stream: Stream, *, reply: bytes | None = None) -> None:
        super().__init__(stream, pong=self._answer, reply=reply)
        self.transport = transport
        self.lost = False
        self.after_feed: Callable[[], None] | None = None

    # The method that the loop calls is the follower's own: a call less for each read.
    data_received = Follower.feed

    def _answer(self, payload: bytes) -> None:
        self.transport.write(client_frame(payload, opcode=_PONG))

    def connection_lost(self, exc: Exception | None) -> None:
        """Know that the server hung up, or that this side did."""
        del exc
        self.lost = True
        if self.closed is None:
            self.closed = 1006


class Poster(Client):
    """A client that does something after each read, such as to send on."""

    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        """Take what was read, then act."""
        self.feed(data)
        if self.after_feed is not None:
            self.after_feed()


def request(port: int, path: str) -> bytes:
    """Return the request of a handshake. The key is one of RFC 6455's own; nothing here checks the answer to it."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


async def connect(
    port: int,
    path: str,
    ready: Callable[[asyncio.Transport], asyncio.Protocol],
    *,
    tls: ssl.SSLContext | None = None,
) -> None:
    """Open one connection; its protocol is what `ready` returns.

    Raises:
        Refused: The server did not accept it.
    """
    _, handshake = await asyncio.get_running_loop().create_connection(
        lambda: _Handshake(request(port, path), ready), "127.0.0.1", port, ssl=tls
    )
    async with asyncio.timeout(_HANDSHAKE_S):
        await handshake.granted


async def connect_all(
    port: int,
    paths: Sequence[str],
    ready: Callable[[int, asyncio.Transport], asyncio.Protocol],
    *,
    tls: ssl.SSLContext | None = None,
) -> None:
    """Open one connection for each path, some at a time; `ready` gets the number of each.

    Raises:
        ExceptionGroup: Of what went wrong.
    """
    numbers = iter(range(len(paths)))

    async def work() -> None:
        for number in numbers:
            await connect(port, paths[number], partial(ready, number), tls=tls)

    async with asyncio.TaskGroup() as group:
        for _ in range(min(_CONNECTING_AT_ONCE, len(paths))):
            group.create_task(work())
