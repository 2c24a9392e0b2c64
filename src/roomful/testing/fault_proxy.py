"""A TCP proxy on the loopback interface that does to connections what networks do.

    async with FaultProxy(server_port, script=random_scripts(7)) as proxy:
        ...  # connect clients to proxy.port
        for link in proxy.links:
            link.reset()

It looks at no byte that passes: it knows bytes and directions, and no WebSockets.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from .faults import TRANSPARENT, Break, Breaking, Direction, Script, Weather

__all__ = ("FaultProxy", "Flow", "Link")

_CHUNK_BYTES: Final = 16 * 1024
_MAX_CHUNKS: Final = 4
"""What a direction holds at most while it is delayed; then the sender is held back by TCP."""

_LINGER_S: Final = 1.0
"""Time in which both sides of a link that was cut may end by themselves."""

_THROTTLE_HZ: Final = 20
"""Pieces in a second at least where a direction is throttled."""


class Flow:
    """One direction of a link.

    Attributes:
        passed: Bytes that have been handed on.
    """

    def __init__(
        self,
        source: socket.socket,
        target: socket.socket,
        weather: Weather,
        *,
        a_break: Break | None,
        broke: Callable[[Breaking], None],
        choose: random.Random,
    ) -> None:
        self.passed: int = 0
        self._source = source
        self._target = target
        self._weather = weather
        self._break = a_break
        self._broke = broke
        self._choose = choose
        self._chunks: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_MAX_CHUNKS)
        self._may_pass = asyncio.Event()
        self._may_pass.set()
        self._has_ended = False

    def stall(self) -> None:
        """Let nothing pass until `go_on`; the sender is held back once what lies between is full."""
        self._may_pass.clear()

    def go_on(self) -> None:
        """Let bytes pass again."""
        self._may_pass.set()

    def end(self) -> None:
        """Half-close: the receiver sees the end of this direction, and what comes later is thrown away."""
        self._may_pass.set()
        if not self._has_ended:
            self._has_ended = True
            with suppress(OSError):  # the receiver has gone
                self._target.shutdown(socket.SHUT_WR)

    async def take(self) -> None:
        """Read until the sender ends.

        Raises:
            OSError: The sender's socket failed.
        """
        loop = asyncio.get_running_loop()
        chunk = b"begun"
        while chunk:
            chunk = await loop.sock_recv(self._source, _CHUNK_BYTES)
            await self._chunks.put((loop.time() + self._weather.delay_s, chunk))

    async def give(self) -> None:
        """Hand on what is read, as the weather is, until the sender ends.

        Raises:
            OSError: The receiver's socket failed.
        """
        loop = asyncio.get_running_loop()
        self._break_if_due()
        while True:
            due, chunk = await self._chunks.get()
            if due > loop.time() and not self._has_ended:
                await asyncio.sleep(due - loop.time())
            if not chunk:
                await self._may_pass.wait()
                self.end()
                return
            rest = memoryview(chunk)
            while rest:
                await self._may_pass.wait()
                if self._has_ended:
                    break
                piece, rest = self._split(rest)
                await loop.sock_sendall(self._target, piece)
                self.passed += len(piece)
                self._break_if_due()
                if self._weather.bytes_per_s is not None:
                    await asyncio.sleep(len(piece) / self._weather.bytes_per_s)
                elif rest:
                    await asyncio.sleep(0)

    def _break_if_due(self) -> None:
        if self._break is not None and self.passed >= self._break.after_bytes:
            how, self._break = self._break.how, None
            if how is Breaking.HALF_CLOSE:
                self.end()
            elif how is Breaking.FREEZE:
                self.stall()
            self._broke(how)

    def _split(self, rest: memoryview) -> tuple[memoryview, memoryview]:
        weather, most = self._weather, len(rest)
        if weather.slice_bytes is not None and (
            weather.sliced_bytes is None or self.passed < weather.sliced_bytes
        ):
            most = min(most, self._choose.randint(1, weather.slice_bytes))
        if weather.bytes_per_s is not None:
            most = min(most, max(1, int(weather.bytes_per_s / _THROTTLE_HZ)))
        if self._break is not None:
            most = min(most, self._break.after_bytes - self.passed)
        return rest[:most], rest[most:]


class Link:
    """One connection through the proxy.

    Attributes:
        number: How many came before it.
        to_server: What the client sends.
        to_client: What the server sends.
        broken: How it was broken first; None while it was not.
    """

    def __init__(self, number: int, client: socket.socket, server: socket.socket, script: Script) -> None:
        self.number: int = number
        self.broken: Breaking | None = None
        self._sockets = (client, server)
        self._is_reset = False
        self._is_over = asyncio.Event()
        choose = random.Random(number)  # noqa: S311 -- sizes of pieces, which are to be repeatable
        breaks = {a_break.direction: a_break for a_break in script.breaks}

        def flow(source: socket.socket, target: socket.socket, weather: Weather, way: Direction) -> Flow:
            return Flow(source, target, weather, a_break=breaks.get(way), broke=self._broke, choose=choose)

        self.to_server: Flow = flow(client, server, script.to_server, Direction.TO_SERVER)
        self.to_client: Flow = flow(server, client, script.to_client, Direction.TO_CLIENT)

    def cut(self) -> None:
        """End both directions in good order (FIN), wherever they are."""
        self._broke(Breaking.CUT)

    def reset(self) -> None:
        """Reset both sides (RST)."""
        self._broke(Breaking.RESET)

    def _broke(self, how: Breaking) -> None:
        self.broken = self.broken or how
        if how is Breaking.RESET:
            self._is_reset = True
            self._is_over.set()
        elif how is Breaking.CUT:
            self.to_server.end()
            self.to_client.end()
            # Closing a socket with bytes that were not read would send a reset, so what still comes is read.
            asyncio.get_running_loop().call_later(_LINGER_S, self._is_over.set)

    async def run(self) -> None:
        """Carry bytes until both directions have ended or the link is broken; then the sockets are closed."""
        flows = (self.to_server, self.to_client)
        works = {asyncio.ensure_future(work) for flow in flows for work in (flow.take(), flow.give())}
        over = asyncio.ensure_future(self._is_over.wait())
        try:
            pending = works
            while pending and not over.done():
                await asyncio.wait({over, *pending}, return_when=asyncio.FIRST_COMPLETED)
                if any(work.done() and work.exception() for work in pending):
                    # One side has failed; the other learns of it in the same way.
                    self.reset()
                pending = {work for work in pending if not work.done()}
        finally:
            for task in (over, *works):
                task.cancel()
            ended = asyncio.gather(over, *works, return_exceptions=True)
            while not ended.done():
                with suppress(asyncio.CancelledError):  # it is ending already
                    await asyncio.shield(ended)
            for sock in self._sockets:
                _close(sock, reset=self._is_reset)


class FaultProxy:
    """Stands between clients and one server, both on the loopback interface; entered with `async with`.

    It belongs to the event loop in which it was entered. Leaving the block resets what is still connected.

    Args:
        server_port: The port to connect to, which may be changed while it runs.
        script: What happens to each connection: the same to all, or by its number, counted from 0.
        receive_buffer_bytes: The kernel's receive buffer on the server's side; small ones make a slow reader felt
            sooner. By default the kernel's own.

    Attributes:
        port: The port to connect clients to.
        server_port: The port of the server.
        script: Gives the script of the next connection.
        links: The connections that live, in the order in which they came.
        accepted: How many connections there have been.
        breaks: How many of them were broken, by how they were broken first.
    """

    def __init__(
        self,
        server_port: int,
        *,
        script: Script | Callable[[int], Script] = TRANSPARENT,
        receive_buffer_bytes: int | None = None,
    ) -> None:
        self.port: int = 0
        self.server_port: int = server_port
        self.script: Callable[[int], Script] = (lambda _: script) if isinstance(script, Script) else script
        self.accepted: int = 0
        self.breaks: Counter[Breaking] = Counter()
        self._receive_buffer_bytes = receive_buffer_bytes
        self._links: dict[Link, None] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._listener: socket.socket | None = None

    @property
    def links(self) -> tuple[Link, ...]:
        """The connections that live, in the order in which they came."""
        return tuple(self._links)

    async def __aenter__(self) -> Self:
        self._listener = _tcp_socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(4096)
        self.port = self._listener.getsockname()[1]
        self._start(self._accept(self._listener))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for link in self.links:
            link.reset()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        assert self._listener is not None  # it was entered
        self._listener.close()

    def _start(self, work: Coroutine[object, object, None], closes: socket.socket | None = None) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if closes is not None:
            # Work that is cancelled before it has begun closes nothing by itself.
            task.add_done_callback(lambda _: closes.close())

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            client, _ = await loop.sock_accept(listener)
            self._start(self._carry(self.accepted, client, self.script(self.accepted)), closes=client)
            self.accepted += 1

    async def _carry(self, number: int, client: socket.socket, script: Script) -> None:
        server = _tcp_socket(self._receive_buffer_bytes)
        try:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.get_running_loop().sock_connect(server, ("127.0.0.1", self.server_port))
        except BaseException as error:
            # A client that connects where nobody listens is reset too.
            _close(client, reset=True)
            server.close()
            if isinstance(error, OSError):
                return
            raise
        link = Link(number, client, server, script)
        self._links[link] = None
        try:
            await link.run()
        finally:
            del self._links[link]
            if link.broken is not None:
                self.breaks[link.broken] += 1


def _tcp_socket(receive_buffer_bytes: int | None = None) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setblocking(False)
    # Pieces are to be sent as they are cut, and none is to wait for the next.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if receive_buffer_bytes is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
    return sock


def _close(sock: socket.socket, *, reset: bool) -> None:
    if reset:
        with suppress(OSError):  # it has failed already
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
