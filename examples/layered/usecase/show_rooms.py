"""Look at rooms without changing anything."""

from __future__ import annotations

from collections.abc import Sequence

from ..domain.entity import Room, RoomId
from ..domain.repository import RoomRepository

__all__ = ("ListRooms", "ShowRoom")


class ListRooms:
    """Show all rooms, by title."""

    def __init__(self, rooms: RoomRepository) -> None:
        self._rooms = rooms

    async def __call__(self) -> Sequence[Room]:
        return await self._rooms.list()


class ShowRoom:
    """Show one room."""

    def __init__(self, rooms: RoomRepository) -> None:
        self._rooms = rooms

    async def __call__(self, room_id: RoomId) -> Room:
        return await self._rooms.get(room_id)
