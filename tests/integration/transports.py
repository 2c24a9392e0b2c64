"""The ways on which a client reaches an application: in the same process without a network, and through real servers.

Every one gives a client with the interface of `roomful.testing.Client`, so that one test runs over all of them.
"""

import asyncio
import socket
import struct
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from typing import Any, Final

import uvicorn
import websockets
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as dial

from roomful import Event
from roomful.core.ports import MessageId
from roomful.testing import Client, ConnectionClosed, Received, Refused, connect
from roomful.testing.client import TIMEOUT_S
from roomful.testing.received import decode, encode

from .waiting import until

__all__ = ("IN_PROCESS", "PROCESSES", "SERVERS", "TRANSPORTS", "NetworkClient", "Server", "reach")

IN_PROCESS: Final = "in-process"

SERVERS: Final[Mapping[str, str]] = {
    "sansio": "websockets-sansio",
    "wsproto": "wsproto",
    "roomful": "roomful.server:WebSocketProtocol",
}
"""The names of the servers, and what uvicorn's setting `ws` is for each."""

TRANSPORTS: Final = (IN_PROCESS, *SERVERS)

PROCESSES: Final = (*((name, "asyncio") for name in SERVERS), ("roomful", "uvloop"))
"""The servers that run in processes of their own, each with its event loop."""


class Server(uvicorn.Server):
    """uvicorn in the loop of the test, on a port that the system chose."""

    def __init__(self, app: Any, ws: str, **settings: Any) -> None:
        super().__init__(
            uvicorn.Config(
                app, ws=ws, lifespan="on", log_config=None, timeout_graceful_shutdown=5, **settings
            )
        )
        # With its protocol named, or asyncio would not see that it is TCP and leave Nagle's algorithm on.
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self.socket.bind(("127.0.0.1", 0))
        self.port: int = self.socket.getsockname()[1]
        self._is_up = asyncio.Event()
        self._is_to_stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def capture_signals(self) -> Any:
        """Leave signals to pytest."""
        return nullcontext()

    async def start(self) -> None:
        """Return once connections are taken."""
        self._task = asyncio.create_task(self.serve([self.socket]))
        up = asyncio.create_task(self._is_up.wait())
        await asyncio.wait((self._task, up), return_when=asyncio.FIRST_COMPLETED)
        if not up.done():
            up.cancel()
            await self._task

    async def main_loop(self) -> None:
        """Wait to be stopped; uvicorn's own looks ten times a second."""
        await self.on_tick(0)
        self._is_up.set()
        await self._is_to_stop.wait()

    async def stop(self) -> None:
        """Stop as uvicorn does, connections that still live included."""
        self._is_to_stop.set()
        assert self._task is not None
        await self._task

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Skip uvicorn's pause of 0.1 s where nothing is left to wait for."""
        state = self.server_state
        if state.connections or state.tasks:
            await super().shutdown(sockets)
        else:
            for server in self.servers:
                server.close()
            await self.lifespan.shutdown()


class NetworkClient(Client):
    """A client of the `websockets` library."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.accepted_subprotocol = connection.subprotocol
        assert connection.response is not None
        self.accepted_headers = {
            name.lower(): value for name, value in connection.response.headers.raw_items()
        }
        self.close_code = None
        self.close_reason = ""

    async def send(
        self, message: Event | str | bytes, *, id: MessageId | None = None, timeout_s: float = TIMEOUT_S
    ) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                await self.connection.send(encode(message, id))
        except websockets.ConnectionClosed:
            raise self._ended() from None

    async def receive(self, *, timeout_s: float = TIMEOUT_S) -> Received:
        try:
            async with asyncio.timeout(timeout_s):
                return decode(await self.connection.recv())
        except websockets.ConnectionClosed:
            raise self._ended() from None

    async def close(self, code: int = 1000, reason: str = "", *, timeout_s: float = TIMEOUT_S) -> None:
        async with asyncio.timeout(timeout_s):
            await self.connection.close(code, reason)
        self._ended()

    def abort(self) -> None:
        with suppress(OSError):  # the server may have been first
            reset(self.connection.transport.get_extra_info("socket"))
        self.connection.transport.abort()

    def _ended(self) -> ConnectionClosed:
        code = self.connection.close_code
        assert code is not None
        self.close_code, self.close_reason = code, self.connection.close_reason or ""
        return ConnectionClosed(code)


def reset(sock: Any) -> None:
    """Let closing a socket send a reset, as after a crash."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@asynccontextmanager
async def reach_server(
    port: int,
    path: str,
    *,
    headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
    cookies: Mapping[str, str] | None = None,
    subprotocols: Sequence[str] = (),
    compression: str | None = None,
) -> AsyncGenerator[Client]:
    """Connect to a server; as `roomful.testing.connect`. Compression would hide how much is on its way."""
    lines = list(headers.items() if isinstance(headers, Mapping) else headers)
    if cookies:
        lines.append(("Cookie", "; ".join(f"{name}={value}" for name, value in cookies.items())))
    try:
        connection = await dial(
            f"ws://127.0.0.1:{port}{path}",
            additional_headers=lines,
            subprotocols=[websockets.Subprotocol(name) for name in subprotocols] or None,
            compression=compression,
            max_size=None,
            close_timeout=2,
            proxy=None,
        )
    except websockets.InvalidStatus as error:
        answer = error.response
        refused_headers = {name.lower(): value for name, value in answer.headers.raw_items()}
        raise Refused(answer.status_code, refused_headers, bytes(answer.body or b"")) from None
    async with connection:
        yield NetworkClient(connection)


def reach(app: Any, server: Server | None, path: str, **how: Any) -> AbstractAsyncContextManager[Client]:
    """Connect through a server, or without one."""
    if server is None:
        return connect(app, path, **how)
    return reach_server(server.port, path, **how)


async def quiet(server: Server) -> None:
    """Wait until a server has let go of every connection; its side ends a little later than the client's."""
    with suppress(TimeoutError):
        await until(lambda: not server.server_state.connections and not server.server_state.tasks)
