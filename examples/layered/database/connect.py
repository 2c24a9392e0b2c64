"""Open the database, and a repository for each use case."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeAlias

from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from .rooms import SqlRooms
from .tables import Base

__all__ = ("OpenRooms", "open_database")

OpenRooms: TypeAlias = Callable[[], AbstractAsyncContextManager[SqlRooms]]
"""Gives a repository with a session of its own, which ends with the `async with`."""


@asynccontextmanager
async def open_database(url: str) -> AsyncIterator[OpenRooms]:
    """Connect, make the tables that are missing, and disconnect in the end.

    Args:
        url: What SQLAlchemy calls a database URL, such as `sqlite+aiosqlite:///rooms.db`.
    """
    engine = create_async_engine(url)
    # Rows stay readable after a commit; reading one again would start another transaction.
    new_session = async_sessionmaker(engine, expire_on_commit=False)

    @asynccontextmanager
    async def open_rooms() -> AsyncIterator[SqlRooms]:
        async with new_session() as session:
            yield SqlRooms(session)

    try:
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        yield open_rooms
    finally:
        await engine.dispose()
