"""A node of Channels, on channels_redis' usual layer and the Redis that its arguments name."""

from __future__ import annotations

from django.conf import settings  # type: ignore[import-untyped] # Django has no types

from bench.servers.alarm_consumer import consumer_class
from bench.servers.serving import run_uvicorn, start

options = start()
settings.configure(
    CHANNEL_LAYERS={
        # With the usual capacity of 100 messages it drops what comes too fast, and tells nobody.
        "default": {
            "BACKEND": "channels_redis.core.RedisChannelLayer",
            "CONFIG": {"hosts": [options.redis], "capacity": 100_000},
        }
    }
)

from channels.generic.websocket import AsyncWebsocketConsumer  # type: ignore[import-untyped] # noqa: E402 -- no types; needs the settings

if __name__ == "__main__":
    run_uvicorn(consumer_class(AsyncWebsocketConsumer, options).as_asgi(), options)
