"""Everybody gets what anybody sends, on Roomful: a consumer, and a room.

roomful serve examples.three_ways.roomful_room:app
REDIS_URL=redis://127.0.0.1:6379 roomful serve --workers 2 examples.three_ways.roomful_room:app

Without REDIS_URL the layer lies in memory, and reaches the clients of one process.
"""

from __future__ import annotations

import os

from fastapi import FastAPI

from roomful import Consumer, Hub, Limits
from roomful.fastapi import consumer_route

__all__ = ("Everyone", "app", "hub")

# Room for several large images that arrive faster than somebody can read them.
hub = Hub(os.environ.get("REDIS_URL"), limits=Limits(max_outbox_bytes=64 * 1024 * 1024))
app = FastAPI(title="A room", lifespan=hub.lifespan)


@consumer_route(app, "/ws", hub=hub)
class Everyone(Consumer, owns_wire=True):
    async def connect(self) -> None:
        await self.join("everyone")

    async def receive(self, message: str | bytes) -> None:
        # Bytes, such as an image, go out as they came in. Whoever sends waits for those who read slowly.
        text_or_image = f"Server received: {message}" if isinstance(message, str) else message
        await self.hub.push("everyone", text_or_image, wait=True)
