"""A sound server with Roomful: whatever one client sends, all get."""

from __future__ import annotations

import uvicorn
from fastapi import FastAPI

from examples.broken.serving import HOST, PORT
from roomful import Consumer, Hub, Limits
from roomful.fastapi import consumer_route

hub = Hub(limits=Limits(max_outbox_bytes=64 << 20))
app = FastAPI(lifespan=hub.lifespan)


@consumer_route(app, "/ws", hub=hub)
class Broadcast(Consumer, owns_wire=True):
    async def connect(self) -> None:
        await self.join("everyone")

    async def receive(self, message: str | bytes) -> None:
        await self.hub.push("everyone", message)


if __name__ == "__main__":
    uvicorn.run(app, host=HOST, port=PORT, log_level="warning", ws="roomful.server:WebSocketProtocol")
