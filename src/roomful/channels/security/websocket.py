"""Channels' origin checks, and its `WebsocketDenier` on our consumer."""

from channels.security.websocket import AllowedHostsOriginValidator, OriginValidator

from ..generic.websocket import AsyncWebsocketConsumer

__all__ = ("AllowedHostsOriginValidator", "OriginValidator", "WebsocketDenier")


class WebsocketDenier(AsyncWebsocketConsumer):
    """Refuses every connection."""

    async def connect(self) -> None:
        """Refuse."""
        await self.close()
