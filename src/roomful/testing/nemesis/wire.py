"""A WebSocket client that is quick enough for thousands, and as rude as it is told to be.

It checks what a client needs to go on and nothing more; it offers no extension.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Final, cast

__all__ = ("FrameReader", "Wire", "dial", "frame")

_HANDSHAKE: Final = (
    "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
_TEXT, _BINARY, _CLOSE, _PING, _PONG = 1, 2, 8, 9, 10
_ABNORMAL: Final = 1006


class FrameReader:
    """Cuts what a server sends into messages (RFC 6455 §5.2)."""

    __slots__ = ("_buffer", "_fragments", "_opcode")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._fragments = bytearray()
        self._opcode = 0

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Take bytes; return the opcode and payload of each message and control frame that is complete."""
        self._buffer += data
        buffer, at, found = bytes(self._buffer), 0, []
        while len(buffer) >= at + 2:
            head, length, start = buffer[at], buffer[at + 1], at + 2
            if length >= 126:
                start += 2 if length == 126 else 8
                length = int.from_bytes(buffer[at + 2 : start], "big")
            if len(buffer) < start + length:
                break
            at = start + length
            opcode, payload = head & 0x0F, buffer[start:at]
            if opcode >= _CLOSE or (head & 0x80 and opcode):
                found.append((opcode, payload))
                continue
            self._fragments += payload
            self._opcode = opcode or self._opcode
            if head & 0x80:
                found.append((self._opcode, bytes(self._fragments)))
                self._fragments.clear()
        del self._buffer[:at]
        return found


def frame(opcode: int, payload: bytes) -> bytes:
    """Return a client's frame. A mask of zeros is a mask (RFC 6455 §5.3), and leaves the payload as it is."""
    size = len(payload)
    if size < 126:
        length = bytes((0x80 | size,))
    elif size < 1 << 16:
        length = b"\xfe" + size.to_bytes(2, "big")
    else:
        length = b"\xff" + size.to_bytes(8, "big")
    return bytes((0x80 | opcode,)) + length + bytes(4) + payload


class Wire(asyncio.Protocol):
    """One connection.

    Args:
        path: The path of the request, with its query.
        received: Called with each text.

    Attributes:
        close_code: How it ended; None while it has not.
        surplus: Messages that came behind the server's close frame, where none may (RFC 6455 §5.5.1).
    """

    def __init__(self, path: str, received: Callable[[bytes], None]) -> None:
        self.close_code: int | None = None
        self.surplus: int = 0
        self._path = path
        self._received = received
        self._reader = FrameReader()
        self._head = bytearray()
        self._is_up = False
        self._is_closing = False
        self._transport: asyncio.Transport | None = None
        loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[None] = loop.create_future()
        self._ended: asyncio.Future[None] = loop.create_future()

    # ── asyncio.Protocol ──

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the handshake."""
        # uvloop's transports are none of asyncio's classes.
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(_HANDSHAKE.format(path=self._path).encode())

    def data_received(self, data: bytes) -> None:
        """Take the answer to the handshake, then messages."""
        if not self._is_up:
            self._head += data
            head, end, data = bytes(self._head).partition(b"\r\n\r\n")
            if not end:
                return
            if not head.startswith(b"HTTP/1.1 101"):
                self.reset()
                return
            self._is_up = True
            self._opened.set_result(None)
        for opcode, payload in self._reader.feed(data):
            if self.close_code is not None:
                self.surplus += opcode in (_TEXT, _BINARY)
            elif opcode == _TEXT:
                self._received(payload)
            elif opcode == _PING:
                self._write(frame(_PONG, payload))
            elif opcode == _CLOSE:
                self.close_code = int.from_bytes(payload[:2], "big") if payload else 1005
                if not self._is_closing:
                    self._write(frame(_CLOSE, payload[:2]))
                assert self._transport is not None
                self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end."""
        del exc
        if self.close_code is None:
            self.close_code = _ABNORMAL
        self._opened.cancel()
        if not self._ended.done():
            self._ended.set_result(None)

    # ── Use ──

    @property
    def is_made(self) -> bool:
        """Whether there is a socket, or was."""
        return self._transport is not None

    @property
    def is_open(self) -> bool:
        """Whether messages may be sent."""
        return self._is_up and self.close_code is None and not self._is_closing

    async def opened(self, timeout_s: float) -> bool:
        """Return whether the handshake was accepted."""
        await asyncio.wait((self._opened,), timeout=timeout_s)
        return self._opened.done() and not self._opened.cancelled()

    async def ended(self, timeout_s: float | None = None) -> bool:
        """Return whether the connection has ended within a time."""
        await asyncio.wait((self._ended,), timeout=timeout_s)
        return self._ended.done()

    def send(self, text: bytes) -> None:
        """Send a text; a connection that has ended takes it and does nothing."""
        self._write(frame(_TEXT, text))

    def stop_reading(self) -> None:
        """Take no more from the socket."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def read_on(self) -> None:
        """Take from the socket again."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def close(self) -> None:
        """Send a close frame; what comes before the server's is still received."""
        self._is_closing = True
        self._write(frame(_CLOSE, struct.pack(">H", 1000)))

    def hang_up(self) -> None:
        """End the socket without a close frame."""
        if self._transport is not None:
            self._transport.close()

    def reset(self) -> None:
        """End the socket as a crash does."""
        if self._transport is not None and not self._transport.is_closing():
            sock = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)


async def dial(port: int, wire: Wire, *, receive_buffer: int | None = None) -> None:
    """Connect a wire to a port of this machine.

    Raises:
        OSError: Nobody listens there.
    """
    loop = asyncio.get_running_loop()
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        await loop.sock_connect(sock, ("127.0.0.1", port))
        await loop.create_connection(lambda: wire, sock=sock)
    except BaseException:
        sock.close()
        raise
