"""A node of Channels, on channels_redis' pub/sub layer and the Redis that its arguments name."""

from __future__ import annotations

from django.conf import settings  # type: ignore[import-untyped] # Django has no types

from bench.servers.alarm_consumer import consumer_class
from bench.servers.serving import run_uvicorn, start

options = start()
settings.configure(
    CHANNEL_LAYERS={
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [options.redis]},
        }
    }
)

from channels.generic.websocket import AsyncWebsocketConsumer  # type: ignore[import-untyped] # noqa: E402 -- no types; needs the settings

if __name__ == "__main__":
    run_uvicorn(consumer_class(AsyncWebsocketConsumer, options).as_asgi(), options)
