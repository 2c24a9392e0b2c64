"""The port to wherever rooms are kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ..entity import Room, RoomId

__all__ = ("RoomRepository",)


class RoomRepository(Protocol):
    """Keeps rooms, for one use case at a time.

    What `add` and `save` return from is durable, so that what is pushed afterwards is true. Between `get` and
    `save` of one use case nobody else's change is overwritten: `save` raises `RoomChanged` instead.
    """

    async def add(self, room: Room) -> None:
        """Keep a new room."""

    async def get(self, room_id: RoomId) -> Room:
        """Return a room.

        Raises:
            RoomNotFound: No room has this id.
        """

    async def list(self) -> Sequence[Room]:
        """Return all rooms, by title."""

    async def save(self, room: Room) -> None:
        """Keep what has changed in a room that `get` returned.

        Raises:
            RoomChanged: Somebody else has saved it since.
        """
