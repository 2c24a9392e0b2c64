"""One client's socket: handshake by `websockets`, frames by our own reader, on an `asyncio.Protocol`.

It writes whole frames and hands on what comes; it knows no ledger, schedule or adapter.
It never reconnects: a close is a result.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from random import randrange
from typing import Protocol, cast

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidUpgrade
from websockets.protocol import State

from roomful.probe.errors import Unreachable
from roomful.probe.frames import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    FrameError,
    FrameReader,
    frame_head,
    mask_table,
)
from roomful.probe.handshake import Refused, handshake_of, unreachable
from roomful.probe.target import Target

__all__ = ("Closed", "Connection", "Listener")

_ABNORMAL = 1006
_MAX_HEAD_BYTES = 64 * 1024
_HIGH_WATER = 64 * 1024


class Listener(Protocol):
    """What a connection calls."""

    def received(self, connection: Connection, messages: list[tuple[int, bytes, int, int]]) -> None:
        """Take the text and binary messages of one read: opcode, data, start and end of each."""

    def resumed(self, connection: Connection) -> None:
        """The socket takes data again."""

    def closed(self, connection: Connection) -> None:
        """The connection has ended, and `connection.end` says how; called once, also before `open` is done."""


class Closed:
    """How a connection ended.

    Attributes:
        code: The close code that came, 1006 when none did, 1005 when the frame had none.
        reason: The peer's reason.
        by_us: Whether we began.
        error: What the socket said, when it broke.
        at: When, on the event loop's clock.
    """

    __slots__ = ("at", "by_us", "code", "error", "reason")

    def __init__(self, code: int, reason: str, *, by_us: bool, error: str, at: float) -> None:
        self.code: int = code
        self.reason: str = reason
        self.by_us: bool = by_us
        self.error: str = error
        self.at: float = at


class Connection(asyncio.Protocol):
    """One open WebSocket."""

    __slots__ = (
        "_closing_by_us",
        "_code",
        "_handshake",
        "_head",
        "_loop",
        "_on_pong",
        "_opened",
        "_reader",
        "_reason",
        "_request",
        "_transport",
        "end",
        "heard_at",
        "key_byte",
        "listener",
        "number",
        "paused",
        "pings",
        "protocol_name",
        "table",
        "write",
        "writelines",
    )

    def __init__(
        self, target: Target, number: int, listener: Listener | None, *, max_bytes: int, key_byte: int
    ) -> None:
        self.number: int = number
        self.listener: Listener | None = listener
        self.key_byte: int = key_byte
        self.table: bytes = mask_table(self.key_byte)
        self.paused: bool = False
        self.end: Closed | None = None
        self.pings: int = 0
        """How many pings the server has sent: its keepalive."""
        self.protocol_name: str | None = None
        self.write: Callable[[bytes], None] = _not_open
        self.writelines: Callable[[list[bytes]], None] = _not_open
        self._reader = FrameReader(max_bytes=max_bytes)
        self._handshake: ClientProtocol | None
        self._handshake, self._request = handshake_of(target)
        self._head = b""
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self.heard_at: float = self._loop.time()
        """When something last came, on the event loop's clock."""
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._on_pong: dict[bytes, asyncio.Future[float]] = {}
        self._code: int | None = None
        self._reason = ""
        self._closing_by_us = False

    @property
    def socket(self) -> socket.socket | None:
        """The socket, as long as it is open."""
        if self._transport is None or self.end is not None:
            return None
        return cast("socket.socket | None", self._transport.get_extra_info("socket"))

    @property
    def unsent(self) -> int:
        """How many bytes wait in this process for the kernel to take them."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def send(self, message: bytes | str) -> None:
        """Write one message of any content; for the hot path see `traffic`."""
        opcode = TEXT if isinstance(message, str) else BINARY
        self._write_frame(opcode, message.encode() if isinstance(message, str) else message)

    async def ping(self, *, timeout_s: float) -> float | None:
        """Send a ping and return the seconds until its pong, or `None` when none came in time."""
        if self.end is not None:
            return None
        content = b"%016x" % randrange(1 << 64)
        answer = self._on_pong[content] = self._loop.create_future()
        began = self._loop.time()
        self._write_frame(PING, content)
        try:
            async with asyncio.timeout(timeout_s):
                ended: float = await answer
                return ended - began
        except TimeoutError:
            return None
        finally:
            self._on_pong.pop(content, None)

    def close(self, code: int = 1000) -> None:
        """Begin the closing handshake; the peer's frame or `abort` ends it."""
        if self.end is None and not self._closing_by_us and self._transport is not None:
            self._closing_by_us = True
            self._write_frame(CLOSE, code.to_bytes(2, "big"))

    def abort(self) -> None:
        """Drop the connection now."""
        if self.end is None and self._transport is not None:
            self._closing_by_us = True
            self._transport.abort()

    async def opened(self) -> None:
        """Wait until the handshake is done.

        Raises:
            Unreachable: the server did not agree.
        """
        await asyncio.shield(self._opened)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the handshake."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=_HIGH_WATER)
        self.write = self._transport.write
        self.writelines = self._transport.writelines
        assert self._handshake is not None, "it is made with the connection"
        self._handshake.send_request(self._request)
        for data in self._handshake.data_to_send():
            self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        """Continue the handshake, or hand on messages."""
        self.heard_at = self._loop.time()
        if self._handshake is not None:
            data = self._continue_handshake(data)
            if not data:
                return
        try:
            messages = self._reader.feed(data)
        except FrameError as error:
            # The server broke the protocol: this end counts as its own.
            self._code, self._reason = error.code, str(error)
            if self._transport is not None:
                self._transport.abort()
            return
        if not messages:
            return
        for message in messages:
            if message[0] > BINARY:
                messages = [each for each in messages if not self._control(*each)]
                break
        if messages and self.listener is not None:
            self.listener.received(self, messages)

    def pause_writing(self) -> None:
        """Note that the kernel takes no more."""
        self.paused = True

    def resume_writing(self) -> None:
        """Tell the listener that the kernel takes data again."""
        self.paused = False
        if self.listener is not None and self._handshake is None:
            self.listener.resumed(self)

    def eof_received(self) -> None:
        """Let the handshake know."""
        if self._handshake is not None:
            self._handshake.receive_eof()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note how it ended, and tell whoever waits."""
        code = _ABNORMAL if self._code is None else self._code
        error = "" if exc is None else f"{type(exc).__name__}: {exc}"
        self.end = Closed(code, self._reason, by_us=self._closing_by_us, error=error, at=self._loop.time())
        if self._handshake is not None and not self._opened.done():
            self._fail(self._handshake.handshake_exc or exc or EOFError())
        for answer in self._on_pong.values():
            if not answer.done():
                answer.set_exception(ConnectionResetError("closed"))
                answer.exception()  # who waits learns it from `end`; nobody else has to
        self.write = self.writelines = _drop
        if self.listener is not None:
            self.listener.closed(self)

    # inside

    def _continue_handshake(self, data: bytes) -> bytes:
        """Feed the handshake its head, and return what follows it."""
        handshake = self._handshake
        assert handshake is not None, "the caller has looked"
        self._head += data
        head, found, rest = self._head.partition(b"\r\n\r\n")
        if not found:
            if len(head) > _MAX_HEAD_BYTES or not b"HTTP/".startswith(head[:5]):
                self._fail(InvalidUpgrade("status line", repr(head[:20])))
                self.abort()
            return b""
        if self._opened.done():
            return b""
        handshake.receive_data(head + found)
        if handshake.state is State.OPEN:
            self._handshake = None
            self.protocol_name = handshake.subprotocol
            self._opened.set_result(None)
            return rest
        # A refusal: its body does not matter, its status does.
        status = head.split(b" ", 2)[1:2]
        if handshake.handshake_exc is None and status and status[0].isdigit():
            self._fail(Refused(int(status[0])))
        else:
            self._fail(handshake.handshake_exc or EOFError())
        self.abort()
        return b""

    def _fail(self, error: BaseException) -> None:
        if not self._opened.done():
            self._opened.set_exception(unreachable(error))
            self._opened.exception()  # `opened` raises it; a caller that has given up need not

    def _control(self, opcode: int, data: bytes, start: int, end: int) -> bool:
        if opcode == PING:
            self.pings += 1
            self._write_frame(PONG, data[start:end])
        elif opcode == PONG:
            answer = self._on_pong.get(data[start:end])
            if answer is not None and not answer.done():
                answer.set_result(self._loop.time())
        elif opcode == CLOSE:
            self._code = int.from_bytes(data[start : start + 2], "big") if end - start >= 2 else 1005
            self._reason = data[start + 2 : end].decode(errors="replace")
            if not self._closing_by_us and self._transport is not None:
                self._write_frame(CLOSE, data[start : start + 2])
                self._transport.close()
            elif self._transport is not None:
                self._transport.close()
        return opcode > BINARY

    def _write_frame(self, opcode: int, payload: bytes) -> None:
        self.write(frame_head(opcode, len(payload), self.key_byte) + payload.translate(self.table))


def _not_open(data: object) -> None:
    raise Unreachable("closed", "the connection is not open yet")


def _drop(data: object) -> None:
    """Take what is written after the end: the ledger knows of it."""
