"""The consumers of Channels under `roomful.channels`, with our channel layer (memory), on our server."""

from __future__ import annotations

from django.conf import settings  # type: ignore[import-untyped] # Django has no types

from bench.servers.alarm_consumer import consumer_class
from bench.servers.serving import run_uvicorn, start

options = start()
settings.configure(
    CHANNEL_LAYERS={
        # The same capacity as the others' has.
        "default": {"BACKEND": "roomful.django.ChannelLayer", "CONFIG": {"capacity": 100_000}}
    }
)

from roomful.channels.generic.websocket import AsyncWebsocketConsumer  # noqa: E402 -- needs the settings

if __name__ == "__main__":
    consumer = consumer_class(AsyncWebsocketConsumer, options)
    run_uvicorn(consumer.as_asgi(), options, ws="roomful.server:WebSocketProtocol")
