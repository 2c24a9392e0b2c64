"""The raw transport loop: `transport.write` of one shared frame for every client, on uvloop, and nothing else.

This is what Python can do at best with one call per client and message. It reads only frames that come whole, masked
and in texts below 64 KiB.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from hashlib import sha1
from typing import cast

from bench.frames import server_frame, unmask
from bench.programs import Program
from bench.servers.serving import run_loop, start

options = start()
writers: dict[Client, object] = {}
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Client(asyncio.Protocol):
    """One client."""

    def __init__(self) -> None:
        self._rest = b""
        self._is_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave."""
        del exc
        writers.pop(self, None)

    def data_received(self, data: bytes) -> None:
        """Push every whole frame."""
        data = self._rest + data if self._rest else data
        if not self._is_open:
            data = self._open(data)
        start = 0
        while len(data) - start >= 6:
            size = data[start + 1] & 0x7F
            head = start + 2
            if size == 126:
                size = int.from_bytes(data[head : head + 2], "big")
                head += 2
            elif size == 127:
                size = int.from_bytes(data[head : head + 8], "big")
                head += 8
            end = head + 4 + size
            if len(data) < end:
                break
            if data[start] == 0x81:
                self._push(unmask(data[head + 4 : end], data[head : head + 4]))
            start = end
        self._rest = data[start:]

    def _open(self, data: bytes) -> bytes:
        head, found, rest = data.partition(b"\r\n\r\n")
        if not found:
            return data
        key = head.lower().index(b"sec-websocket-key:") + 18
        accept = b64encode(
            sha1(head[key:].split(b"\r\n", 1)[0].strip() + GUID, usedforsecurity=False).digest()
        )
        self._transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        self._is_open = True
        if options.program != Program.ECHO:
            writers[self] = self._transport.write
        return rest

    def _push(self, payload: bytes) -> None:
        frame = server_frame(payload)
        if options.program == Program.ECHO:
            self._transport.write(frame)
            return
        for write in writers.values():
            write(frame)  # type: ignore[operator] # a transport's own method
        if options.program == Program.REPLY:
            self._transport.write(server_frame(b"ok"))


async def listen() -> asyncio.Server:
    """Begin to serve."""
    return await asyncio.get_running_loop().create_server(
        Client, "127.0.0.1", options.port, ssl=options.tls, backlog=4096
    )


if __name__ == "__main__":
    run_loop(listen)
