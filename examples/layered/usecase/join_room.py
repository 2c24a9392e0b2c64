"""Take a place in a room."""

from __future__ import annotations

from ..domain.entity import Event, Room, RoomId, User
from ..domain.repository import RoomRepository
from ..domain.service import Pusher

__all__ = ("JoinRoom",)


class JoinRoom:
    """Check, save, then tell: what the others hear of has happened."""

    def __init__(self, rooms: RoomRepository, pusher: Pusher) -> None:
        self._rooms = rooms
        self._pusher = pusher

    async def __call__(self, room_id: RoomId, user: User) -> Room:
        room = await self._rooms.get(room_id)
        room.join(user)
        await self._rooms.save(room)
        await self._pusher.push(room.id, Event("JOIN", {"user": user.name}))
        return room
