"""A served application with a door, and clients that try to get in."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

import pytest

from roomful import Consumer, Event, Hub, on
from roomful.routing import ProtocolTypeRouter, URLRouter, route
from roomful.testing import Client, ConnectionClosed, Received
from tests.integration.transports import SERVERS, Server, quiet, reach_server
from tests.integration.waiting import until

__all__ = (
    "SLOWLY",
    "TRANSPORTS",
    "Door",
    "Echo",
    "bearer",
    "control",
    "offer",
    "opened",
    "request",
    "timed",
    "until_closed",
)

TRANSPORTS: Final = ("roomful", "sansio")
"""The servers of every run: with the fast path, and with the plain one."""

SLOWLY: Final = tuple(
    pytest.param(name, marks=pytest.mark.slow) for name in sorted(set(SERVERS) - set(TRANSPORTS))
)
"""The others."""

timed = pytest.mark.parametrize("transport", ["roomful", pytest.param("sansio", marks=pytest.mark.slow)])
"""For what waits for the clock: our server in every run, the plain path in the long one."""


class Echo(Consumer):
    """Says who is there, and answers."""

    async def connect(self) -> None:
        await self.send(Event("hello", self.principal.id))

    @on("echo")
    async def echo(self, data: object) -> object:
        return data

    @on("who")
    async def who(self) -> dict[str, object]:
        return {"id": self.principal.id, "claims": dict(self.principal.claims)}


class Door:
    """A server with a hub behind it."""

    def __init__(self, server: Server, hub: Hub) -> None:
        self.server = server
        self.hub = hub

    @property
    def port(self) -> int:
        return self.server.port

    def connect(self, path: str = "/", **how: Any) -> AbstractAsyncContextManager[Client]:
        """Connect; as `roomful.testing.connect`."""
        return reach_server(self.port, path, **how)

    async def emptied(self) -> None:
        """Wait until nobody is in, by the hub's count and by the gate's."""
        await until(lambda: self.hub.statistics().connections == self.hub.statistics().ending == 0)


@asynccontextmanager
async def opened(
    transport: str,
    hub: Hub,
    consumers: type[Consumer] | Mapping[str, type[Consumer]] = Echo,
    *,
    app: Any = None,
    **settings: Any,
) -> AsyncIterator[Door]:
    """Serve consumers, or an application; when it ends nothing may be left of any connection."""
    by_path = consumers if isinstance(consumers, Mapping) else {"/": consumers}
    if app is None:
        router = URLRouter([route(path, cls.as_asgi(hub=hub)) for path, cls in by_path.items()])
        app = ProtocolTypeRouter({"websocket": router}, hub=hub)
    server = Server(app, SERVERS[transport], **settings)
    await server.start()
    door = Door(server, hub)
    try:
        yield door
        await door.emptied()
        await quiet(server)
    finally:
        await server.stop()
    running = asyncio.all_tasks() - {asyncio.current_task()}
    assert not running, f"tasks still run: {running}"


def bearer(token: str) -> dict[str, str]:
    """Return the header that carries a token."""
    return {"Authorization": f"Bearer {token}"}


def control(type_: str, token: str, id_: object = None) -> str:
    """Return a control message."""
    message: dict[str, object] = {"type": f"roomful.{type_}", "data": {"token": token}}
    return json.dumps(message if id_ is None else {**message, "id": id_})


async def request(port: int, head: str | bytes, *, body: bytes = b"") -> tuple[int, dict[str, str], bytes]:
    """Send an HTTP request as it is; return status, headers and body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        lines = head.encode("latin-1") if isinstance(head, str) else head
        writer.write(lines.replace(b"\n", b"\r\n") + b"\r\n\r\n" + body)
        async with asyncio.timeout(10):
            answer_head = await reader.readuntil(b"\r\n\r\n")
            first, *rest = answer_head.decode("latin-1").strip().split("\r\n")
            headers = {
                name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)
            }
            length = int(headers.get("content-length", "0"))
            return int(first.split(" ")[1]), headers, await reader.readexactly(length)
    finally:
        writer.close()


async def offer(door: Door, subprotocols: str) -> tuple[int | None, dict[str, str]]:
    """Shake hands with a `Sec-WebSocket-Protocol` as it is; return status and headers.

    The status is None where nothing is answered, which is allowed for one server alone and for one kind of header:
    wsproto decodes it as ASCII and lets the `UnicodeDecodeError` out, so the event loop ends that connection.
    """
    try:
        status, headers, _ = await request(
            door.port,
            "GET / HTTP/1.1\nHost: localhost\nUpgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Version: 13\n"
            f"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\nSec-WebSocket-Protocol: {subprotocols}",
        )
    except asyncio.IncompleteReadError as error:
        if door.server.config.ws != "wsproto" or subprotocols.isascii() or error.partial:
            raise
        # uvicorn had not handed the socket over yet, so it never hears of its end and would wait for it.
        door.server.server_state.connections.clear()
        return None, {}
    return status, headers


async def until_closed(client: Client) -> tuple[list[Received], int | None, str]:
    """Return what comes until the connection ends, its code and its reason."""
    received: list[Received] = []
    try:
        while True:
            received.append(await client.receive())
    except ConnectionClosed:
        return received, client.close_code, client.close_reason
