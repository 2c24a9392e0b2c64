"""The port to whoever tells clients what happened."""

from __future__ import annotations

from typing import Protocol

from ..entity import Event, RoomId

__all__ = ("Pusher",)


class Pusher(Protocol):
    """Tells everybody who watches a room what happened in it.

    A use case knows no more than this: not how many watch, not over what, not whether any of them is slow.
    """

    async def push(self, room_id: RoomId, event: Event) -> None:
        """Tell of one event, behind all earlier ones of this room."""
