"""What handlers ask for: the domain's ports, as FastAPI dependencies.

Which database and which pusher stand behind them was decided in `app.py`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, TypeAlias

from fastapi import Depends
from fastapi.requests import HTTPConnection

from ..domain.repository import RoomRepository
from ..domain.service import Pusher

__all__ = ("PusherPort", "Rooms")


async def _rooms(connection: HTTPConnection) -> AsyncIterator[RoomRepository]:
    async with connection.app.state.open_rooms() as rooms:
        yield rooms


def _pusher(connection: HTTPConnection) -> Pusher:
    pusher: Pusher = connection.app.state.pusher
    return pusher


Rooms: TypeAlias = Annotated[RoomRepository, Depends(_rooms)]
PusherPort: TypeAlias = Annotated[Pusher, Depends(_pusher)]
