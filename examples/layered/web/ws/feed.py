"""The feed of a room: one-way, from the server to whoever watches."""

from __future__ import annotations

from roomful import Consumer, Refuse

from ...domain.entity import RoomId
from ...domain.errors import RoomNotFound
from ...usecase import ShowRoom
from ..dependencies import Rooms
from .pusher import feed_name

__all__ = ("RoomFeed",)


class RoomFeed(Consumer):
    """Watch a room. It has no handler for messages: whatever a client says is answered with an error."""

    async def connect(self, room_id: str, rooms: Rooms) -> None:
        try:
            room = await ShowRoom(rooms)(RoomId(room_id))
        except RoomNotFound as error:
            raise Refuse(404, str(error)) from error
        await self.join(feed_name(room.id))
