"""Django Channels with its in-memory layer, on uvicorn: `group_send` from each consumer."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

from django.conf import settings  # type: ignore[import-untyped] # Django has no types

settings.configure(
    CHANNEL_LAYERS={
        # With the usual capacity of 100 messages it drops what comes too fast, and tells nobody.
        "default": {"BACKEND": "channels.layers.InMemoryChannelLayer", "CONFIG": {"capacity": 100_000}}
    }
)

from channels.generic.websocket import AsyncWebsocketConsumer  # type: ignore[import-untyped] # noqa: E402 -- no types; needs the settings

from bench.programs import Program  # noqa: E402 -- as above
from bench.servers.serving import ROOM_NAME_BYTES, run_uvicorn, start  # noqa: E402 -- as above

options = start()


class Consumer(AsyncWebsocketConsumer):  # type: ignore[misc] # channels has no types
    """Does what the program says."""

    async def connect(self) -> None:
        """Join."""
        query = parse_qs(self.scope["query_string"].decode())
        self.names = query.get("rooms", ["room"])[0].split(",")
        for name in self.names:
            await self.channel_layer.group_add(name, self.channel_name)
        await self.accept()

    async def disconnect(self, code: int) -> None:
        """Leave."""
        for name in self.names:
            await self.channel_layer.group_discard(name, self.channel_name)

    async def receive(self, text_data: str = "", bytes_data: bytes | None = None) -> None:
        """Push, or reply."""
        if options.program in (Program.ECHO, Program.EVENT):
            await self.send(text_data)
            return
        name = text_data[:ROOM_NAME_BYTES] if options.program == Program.ROOMS else "room"
        await self.channel_layer.group_send(name, {"type": "push", "text": text_data})
        if options.program == Program.REPLY:
            await self.send("ok")

    async def push(self, event: dict[str, Any]) -> None:
        """Take what the group got."""
        await self.send(event["text"])


if __name__ == "__main__":
    run_uvicorn(Consumer.as_asgi(), options)
