"""A WebSocket client on a bare socket: quick enough for thousands, and able to be rude."""

import asyncio
import os
import socket
import struct
from collections import deque
from typing import Final

__all__ = ("RawClient",)

_HANDSHAKE: Final = (
    "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class RawClient(asyncio.Protocol):
    """One connection. It answers no ping, and it checks nothing that the tests do not ask for."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._is_open = False
        self._buffer = bytearray()
        self._messages: deque[bytes] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._transport: asyncio.Transport
        self.close_code: int | None = None
        self.is_lost = False

    @classmethod
    async def connect(
        cls, port: int, path: str, *, wait: bool = True, receive_buffer: int | None = None
    ) -> "RawClient":
        """Connect; return once the handshake is answered, or is only sent.

        Without a receive buffer of a fixed size the kernel lets it grow, to 32 MB on some machines.
        """
        client, loop = cls(path), asyncio.get_running_loop()
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        sock.setblocking(False)
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        await loop.sock_connect(sock, ("127.0.0.1", port))
        await loop.create_connection(lambda: client, sock=sock)
        while wait and not client._is_open:
            if client.is_lost:
                raise ConnectionError(f"handshake was refused: {bytes(client._buffer)!r}")
            await client._wait()
        return client

    # ── asyncio.Protocol ──

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(_HANDSHAKE.format(path=self._path).encode())

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._is_open:
            head, end, rest = bytes(self._buffer).partition(b"\r\n\r\n")
            if not end or not head.startswith(b"HTTP/1.1 101"):
                return
            self._is_open = True
            self._buffer = bytearray(rest)
        self._parse()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True
        self.close_code = self.close_code or 1006
        self._wake()

    def _parse(self) -> None:
        buffer, at = bytes(self._buffer), 0
        while len(buffer) >= at + 2:
            opcode, length, start = buffer[at] & 0x0F, buffer[at + 1], at + 2
            if length == 126:
                start += 2
                length = int.from_bytes(buffer[at + 2 : start], "big")
            elif length == 127:
                start += 8
                length = int.from_bytes(buffer[at + 2 : start], "big")
            if len(buffer) < start + length:
                break
            if opcode in (1, 2):
                self._messages.append(buffer[start : start + length])
            elif opcode == 8:
                self.close_code = int.from_bytes(buffer[start : start + 2], "big") if length else 1005
            at = start + length
        self._buffer = bytearray(buffer[at:])

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        await self._waiter

    # ── Use ──

    async def receive(self) -> bytes:
        """Return the next message.

        Raises:
            ConnectionError: The connection has ended.
        """
        while not self._messages:
            if self.close_code is not None:
                raise ConnectionError(f"connection ended with {self.close_code}")
            await self._wait()
        return self._messages.popleft()

    def send(self, text: str) -> None:
        """Send a text."""
        self.frame(0x81, text.encode())

    def close(self) -> None:
        """Send a close frame."""
        self.frame(0x88, struct.pack(">H", 1000))

    async def closed(self) -> int:
        """Return the close code once the socket has ended."""
        while not self.is_lost:
            await self._wait()
        assert self.close_code is not None
        return self.close_code

    def hang_up(self) -> None:
        """End the socket without a close frame."""
        self._transport.close()

    def reset(self) -> None:
        """End the socket as a crash does."""
        sock = self._transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def stop_reading(self) -> None:
        """Take no more from the socket."""
        self._transport.pause_reading()

    def half_a_frame(self) -> None:
        """Begin a message and do not finish it."""
        self._transport.write(b"\x81\xfe\x00\xff" + os.urandom(4) + b"half")

    def frame(self, head: int, payload: bytes) -> None:
        """Send a frame whose first byte is `head`."""
        # A mask of zeros is a mask (RFC 6455 §5.3), and leaves the payload as it is.
        size = len(payload)
        length = bytes((0x80 | size,)) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
        self._transport.write(bytes((head,)) + length + bytes(4) + payload)
