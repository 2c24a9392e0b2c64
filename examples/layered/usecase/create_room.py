"""Open a new room."""

from __future__ import annotations

import secrets

from ..domain.entity import Room, RoomId
from ..domain.repository import RoomRepository

__all__ = ("CreateRoom",)


class CreateRoom:
    """Open a room. Nobody is told: nobody can be watching it yet."""

    def __init__(self, rooms: RoomRepository) -> None:
        self._rooms = rooms

    async def __call__(self, title: str, capacity: int) -> Room:
        room = Room(RoomId(secrets.token_urlsafe(6)), title, capacity)
        await self._rooms.add(room)
        return room
