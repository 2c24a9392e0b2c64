"""ASGI calls of a consumer, and what it notes."""

from __future__ import annotations

import asyncio
from typing import Any

from roomful import Consumer, Hub, on
from tests.endpoint.server import Server

log: list[Any] = []


class Chat(Consumer):
    """Does in `connect` what a test wants, and notes what happens."""

    def __init__(self, **options: object) -> None:
        log.append(("made", options))
        self.options = options

    async def connect(self, room: str = "lobby") -> None:
        log.append(("connect", room))
        await self.join(room)

    @on("post")
    async def post(self, message: str) -> str:
        log.append(("post", message))
        return message.upper()

    async def disconnect(self, code: int) -> None:
        log.append(("disconnect", code))


class Call:
    """One ASGI call of an application."""

    def __init__(self, consumer: type[Consumer], hub: Hub, *, connects: bool = True, **scope: Any) -> None:
        options = scope.pop("options", {})
        self.server = Server()
        self.hub = hub
        self.scope: dict[str, Any] = {"type": "websocket", "path": "/", **scope}
        if connects:
            self.server.connects()
        app = consumer.as_asgi(hub=hub, **options)
        self.task = asyncio.ensure_future(app(self.scope, self.server.receive, self.server.send))

    async def ended(self) -> None:
        await asyncio.wait_for(self.task, 60)


RESPONSES = {"extensions": {"websocket.http.response": {}}}
