"""Everybody gets what anybody sends, on Django Channels: a consumer, and a group of the channel layer.

uvicorn examples.three_ways.channels_group:app
REDIS_URL=redis://127.0.0.1:6379 daphne examples.three_ways.channels_group:app

Without REDIS_URL the layer lies in memory, and reaches the clients of one process. Both layers keep their usual
capacity of 100 messages.
"""

from __future__ import annotations

import os
from typing import TypedDict

from django.conf import settings

__all__ = ("Everyone", "app")

_REDIS_URL = os.environ.get("REDIS_URL")

settings.configure(
    CHANNEL_LAYERS={
        "default": {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {"hosts": [_REDIS_URL]}}
        if _REDIS_URL
        else {"BACKEND": "channels.layers.InMemoryChannelLayer"}
    }
)

from channels.generic.websocket import AsyncWebsocketConsumer  # noqa: E402 -- needs the settings
from channels.routing import ProtocolTypeRouter  # noqa: E402 -- as above


class _Share(TypedDict):
    type: str
    text: str | None
    image: bytes | None


class Everyone(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        await self.channel_layer.group_add("everyone", self.channel_name)
        await self.accept()

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard("everyone", self.channel_name)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        share: _Share = {"type": "share", "text": text_data, "image": bytes_data}
        await self.channel_layer.group_send("everyone", share)

    async def share(self, event: _Share) -> None:
        if event["image"] is not None:
            await self.send(bytes_data=event["image"])
        else:
            await self.send(text_data=f"Server received: {event['text']}")


app = ProtocolTypeRouter({"websocket": Everyone.as_asgi()})
