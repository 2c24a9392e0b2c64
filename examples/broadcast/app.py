"""Tell every client what one client said.

uvicorn examples.broadcast.app:app
"""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI

from examples.pages import add_page
from roomful import Consumer, Hub, Limits
from roomful.fastapi import consumer_route

__all__ = ("Broadcast", "app", "hub")

# Room for sixteen large images that arrive faster than somebody can read them.
hub = Hub(limits=Limits(max_outbox_bytes=64 * 1024 * 1024))
app = FastAPI(title="Broadcast", lifespan=hub.lifespan)
add_page(app, Path(__file__).parent / "page")


@consumer_route(app, "/ws", hub=hub)
class Broadcast(Consumer, owns_wire=True):
    """No loop, no list of clients, no clean-up: connections come, say something, and go."""

    async def connect(self) -> None:
        await self.join("everyone")

    async def receive(self, message: str | bytes) -> None:
        # Bytes, such as an image, go out as they came in.
        await self.hub.push(
            "everyone", f"Server received: {message}" if isinstance(message, str) else message
        )
