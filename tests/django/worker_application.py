"""The application of the worker's test: it answers on the channel that a message names."""

from __future__ import annotations

from typing import Any

from roomful.channels.consumer import AsyncConsumer
from roomful.channels.routing import ChannelNameRouter, ProtocolTypeRouter


class Answering(AsyncConsumer):
    async def work(self, message: dict[str, Any]) -> None:
        await self.channel_layer.send(message["reply_to"], {"type": "done"})


application = ProtocolTypeRouter({"channel": ChannelNameRouter({"work": Answering.as_asgi()})})
