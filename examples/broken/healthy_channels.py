"""A sound server with Django Channels: a consumer that answers."""

from __future__ import annotations

import django  # type: ignore[import-untyped]  # neither Django nor Channels carries types
import uvicorn
from channels.generic.websocket import (  # type: ignore[import-untyped]  # likewise
    AsyncWebsocketConsumer,
)
from channels.routing import ProtocolTypeRouter, URLRouter  # type: ignore[import-untyped]  # likewise
from django.conf import settings  # type: ignore[import-untyped]  # likewise
from django.urls import path  # type: ignore[import-untyped]  # likewise

from examples.broken.serving import HOST, PORT


class Echo(AsyncWebsocketConsumer):  # type: ignore[misc]  # Channels carries no types
    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.send(text_data=text_data, bytes_data=bytes_data)


if __name__ == "__main__":
    settings.configure(ALLOWED_HOSTS=["*"], SECRET_KEY="not a secret: nothing is signed")  # noqa: S106  # see its value
    django.setup()
    app = ProtocolTypeRouter({"websocket": URLRouter([path("ws", Echo.as_asgi())])})
    uvicorn.run(app, host=HOST, port=PORT, log_level="warning", lifespan="off")
