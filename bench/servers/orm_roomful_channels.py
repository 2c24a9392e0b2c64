"""Channels' consumers on Roomful: one query of the async ORM for each message."""

from __future__ import annotations

from bench.servers.orm_model import query, set_up
from bench.servers.serving import run_uvicorn, start

options = start()
set_up()

from roomful.channels.generic.websocket import AsyncWebsocketConsumer  # noqa: E402 -- needs the settings


class Consumer(AsyncWebsocketConsumer):
    """Asks, and sends back what it got."""

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Answer."""
        await query(text_data or "")
        await self.send(text_data)


if __name__ == "__main__":
    run_uvicorn(Consumer.as_asgi(), options, ws="roomful.server:WebSocketProtocol")
