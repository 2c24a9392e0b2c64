"""Let nobody else into a room."""

from __future__ import annotations

from ..domain.entity import Event, Room, RoomId
from ..domain.repository import RoomRepository
from ..domain.service import Pusher

__all__ = ("CloseRoom",)


class CloseRoom:
    """Check, save, then tell."""

    def __init__(self, rooms: RoomRepository, pusher: Pusher) -> None:
        self._rooms = rooms
        self._pusher = pusher

    async def __call__(self, room_id: RoomId) -> Room:
        room = await self._rooms.get(room_id)
        room.close()
        await self._rooms.save(room)
        await self._pusher.push(room.id, Event("CLOSE", {}))
        return room
