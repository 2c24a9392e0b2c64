"""The domain's `Pusher` port, kept by a hub."""

from __future__ import annotations

import roomful

from ...domain.entity import Event, RoomId

__all__ = ("HubPusher", "feed_name")


def feed_name(room_id: RoomId) -> str:
    """Return what the hub calls the audience of a room."""
    return f"room:{room_id}"


class HubPusher:
    """Hands the domain's events to the hub. This class is all that knows both sides."""

    def __init__(self, hub: roomful.Hub) -> None:
        self._hub = hub

    async def push(self, room_id: RoomId, event: Event) -> None:
        await self._hub.push(feed_name(room_id), roomful.Event(event.type, event.content))
