"""The domain's repository port, kept with SQLAlchemy."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm.exc import StaleDataError

from ..domain.entity import Room, RoomId, User
from ..domain.errors import RoomChanged, RoomNotFound
from .tables import RoomRow

__all__ = ("SqlRooms",)


class SqlRooms:
    """Rooms in one session: made for one use case, then thrown away."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session
        # The rows as they were read, with their versions. The session alone would forget a row that nobody
        # holds, and `save` would read it again, with the version that somebody else has written.
        self._rows: dict[RoomId, RoomRow] = {}

    async def add(self, room: Room) -> None:
        row = RoomRow(id=room.id, title=room.title, capacity=room.capacity)
        _write(room, row)
        self._session.add(row)
        self._rows[room.id] = row
        await self._session.commit()

    async def get(self, room_id: RoomId) -> Room:
        row = await self._session.get(RoomRow, room_id)
        if row is None:
            raise RoomNotFound("there is no such room")
        self._rows[room_id] = row
        return _room(row)

    async def list(self) -> Sequence[Room]:
        rows = await self._session.scalars(select(RoomRow).order_by(RoomRow.title, RoomRow.id))
        return [_room(row) for row in rows]

    async def save(self, room: Room) -> None:
        _write(room, self._rows[room.id])
        try:
            await self._session.commit()
        except StaleDataError as error:
            await self._session.rollback()
            raise RoomChanged("somebody else changed this room at the same moment; try again") from error


def _room(row: RoomRow) -> Room:
    return Room(RoomId(row.id), row.title, row.capacity, row.is_open, [User(name) for name in row.members])


def _write(room: Room, row: RoomRow) -> None:
    row.is_open = room.is_open
    row.members = [user.name for user in room.members]
