"""A server in the loop of the test, made of uvicorn's own HTTP class and ours, and clients that speak raw bytes.

It does what `uvicorn.Server.startup` does and nothing else, so that no test waits for uvicorn's clock.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

import uvicorn
from uvicorn.server import ServerState

from roomful.server import WebSocketProtocol

__all__ = ("KEY", "RawClient", "Served", "masked", "raw_request", "serve", "until", "upgrade_request")

PATIENCE_S: Final = 10.0
"""How long a test waits for what must come at once; only a failing test ever waits that long."""

KEY: Final = "dGhlIHNhbXBsZSBub25jZQ=="
MASK: Final = b"\x37\xfa\x21\x3d"

OPCODES: Final = {"continuation": 0, "text": 1, "binary": 2, "close": 8, "ping": 9, "pong": 10}


class Watched(set[Any]):
    """A set that says when it becomes empty."""

    def __init__(self) -> None:
        super().__init__()
        self.empty = asyncio.Event()
        self.empty.set()

    def add(self, item: Any) -> None:
        super().add(item)
        self.empty.clear()

    def discard(self, item: Any) -> None:
        super().discard(item)
        if not self:
            self.empty.set()

    def remove(self, item: Any) -> None:
        super().remove(item)
        if not self:
            self.empty.set()


@dataclass
class Served:
    """A running server."""

    port: int
    state: ServerState
    scheme: str = "ws"
    clients: list[RawClient] = field(default_factory=list)
    """Those that dialled; they leave at the end."""

    def url(self, path: str = "/") -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}{path}"

    async def until_empty(self) -> None:
        """Wait until no connection and no task is left."""
        async with asyncio.timeout(PATIENCE_S):
            await self.state.connections.empty.wait()  # type: ignore[attr-defined]
            await self.state.tasks.empty.wait()  # type: ignore[attr-defined]

    def shutdown(self) -> None:
        """Do what uvicorn does to each connection when it stops."""
        for connection in list(self.state.connections):
            connection.shutdown()

    def ours(self) -> list[WebSocketProtocol]:
        return [one for one in self.state.connections if isinstance(one, WebSocketProtocol)]


@asynccontextmanager
async def serve(app: Any, *, ws: Any = WebSocketProtocol, **settings: Any) -> AsyncIterator[Served]:
    """Serve `app`; at the end every connection must have gone."""
    config = uvicorn.Config(app, ws=ws, lifespan="off", log_config=None, **settings)
    config.load()
    state = ServerState()
    state.connections, state.tasks = Watched(), Watched()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: config.http_protocol_class(config=config, server_state=state, app_state={"of": "lifespan"}),  # type: ignore[call-arg]
        "127.0.0.1",
        0,
        ssl=config.ssl,
    )
    served = Served(server.sockets[0].getsockname()[1], state, "wss" if config.ssl else "ws")
    try:
        yield served
    finally:
        server.close()
        served.shutdown()
        for client in served.clients:
            await client.leave()
        await served.until_empty()
        await server.wait_closed()


async def until(condition: Callable[[], object]) -> None:
    """Wait until `condition` holds, looking once in each pass of the loop."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110  # the server has no event for what tests look at
            await asyncio.sleep(0)


def upgrade_request(path: str = "/", headers: Sequence[tuple[str, str]] = ()) -> bytes:
    """Return a handshake; `headers` come behind those that it must have."""
    lines = [
        f"GET {path} HTTP/1.1",
        "Host: 127.0.0.1",
        "Connection: Upgrade",
        "Upgrade: websocket",
        f"Sec-WebSocket-Key: {KEY}",
        "Sec-WebSocket-Version: 13",
        *[f"{name}: {value}" for name, value in headers],
        "\r\n",
    ]
    return "\r\n".join(lines).encode("latin-1")


def masked(kind: str, payload: bytes = b"", *, final: bool = True, rsv: int = 0, mask: bytes = MASK) -> bytes:
    """Return a client's frame."""
    head = (0x80 if final else 0) | rsv << 4 | OPCODES[kind]
    size = len(payload)
    if size < 126:
        start = struct.pack("!BB", head, 0x80 | size)
    elif size < 65536:
        start = struct.pack("!BBH", head, 0x80 | 126, size)
    else:
        start = struct.pack("!BBQ", head, 0x80 | 127, size)
    whole = mask * (size // 4 + 1)
    body = (int.from_bytes(payload, "big") ^ int.from_bytes(whole[:size], "big")).to_bytes(size, "big")
    return start + mask + body


class RawClient:
    """A client that sends what it is told, however wrong."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def dial(
        cls, served: Served, *, receive_buffer: int | None = None, tls: ssl.SSLContext | None = None
    ) -> RawClient:
        """Connect and send nothing."""
        sock = socket.socket()
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", served.port))
        limit = 1024 if receive_buffer is not None else 2**16
        name = "localhost" if tls else None
        client = cls(*await asyncio.open_connection(sock=sock, limit=limit, ssl=tls, server_hostname=name))
        served.clients.append(client)
        return client

    @classmethod
    async def open(
        cls,
        served: Served,
        path: str = "/",
        *,
        receive_buffer: int | None = None,
        headers: Sequence[tuple[str, str]] = (),
    ) -> RawClient:
        """Connect and complete the handshake."""
        client = await cls.dial(served, receive_buffer=receive_buffer)
        client.send(upgrade_request(path, headers))
        status, _, _ = await client.response()
        assert status == 101
        return client

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def response(self) -> tuple[int, dict[str, str], bytes]:
        """Read an HTTP response; its headers have small names."""
        async with asyncio.timeout(PATIENCE_S):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.strip().split("\r\n")
            headers = {
                name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
            }
            status = int(first.split(" ")[1])
            body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return status, headers, body

    async def frame(self) -> tuple[int, bytes]:
        """Read one frame of the server; return its first byte and its payload."""
        async with asyncio.timeout(PATIENCE_S):
            head, size = await self.reader.readexactly(2)
            assert size < 128, "a server must not mask"
            if size == 126:
                size = int.from_bytes(await self.reader.readexactly(2), "big")
            elif size == 127:
                size = int.from_bytes(await self.reader.readexactly(8), "big")
            return head, await self.reader.readexactly(size)

    async def text(self) -> str:
        """Read one text frame."""
        head, payload = await self.frame()
        assert head == 0x81
        return payload.decode()

    async def close_code(self) -> int | None:
        """Read up to the close frame; return its code, or None if it has none."""
        while True:
            head, payload = await self.frame()
            if head == 0x88:
                return int.from_bytes(payload[:2], "big") if payload else None

    async def end(self) -> bytes:
        """Read up to the end of the stream; a reset is an end too."""
        async with asyncio.timeout(PATIENCE_S):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""

    def drop(self) -> None:
        """Reset the connection."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def leave(self) -> None:
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()


async def raw_request(served: Served, data: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send bytes, and read one HTTP response."""
    client = await RawClient.dial(served)
    client.send(data)
    try:
        return await client.response()
    finally:
        await client.leave()
