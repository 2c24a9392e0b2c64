"""FastAPI on uvicorn: one query of SQLAlchemy's async API for each message, in a session of its own."""

from __future__ import annotations

import random
import time
from typing import Any

from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from sqlalchemy import event, select, text
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from bench.servers.orm_table import ROWS, SLOW, SLOW_SQL, make_table, postgres
from bench.servers.serving import run_uvicorn, start

options = start()
app = FastAPI()
folder = postgres()
engine = create_async_engine(
    f"sqlite+aiosqlite:///{make_table()}"
    if folder is None
    else f"postgresql+psycopg://bench@/bench?host={folder}",
    # As many connections as Roomful has threads for the database.
    pool_size=8,
    max_overflow=0,
    pool_timeout=300,
)
sessions = async_sessionmaker(engine)

if folder is None:

    @event.listens_for(engine.sync_engine, "connect")
    def add_sleep(connection: Any, _: object) -> None:
        """Give SQLite what PostgreSQL has."""
        connection.create_function("pg_sleep", 1, time.sleep)


class Base(DeclarativeBase):
    """Of the tables."""


class Item(Base):
    """An item."""

    __tablename__ = "items_item"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


@app.websocket("/{path:path}")
async def ask(websocket: WebSocket) -> None:
    """Ask, and send back what came."""
    await websocket.accept()
    try:
        while True:
            message = await websocket.receive_text()
            async with sessions() as session:
                if message.startswith(SLOW):
                    await session.execute(text(SLOW_SQL))
                else:
                    await session.scalar(select(Item).where(Item.id == random.randrange(ROWS)))
            await websocket.send_text(message)
    except WebSocketDisconnect:
        pass


if __name__ == "__main__":
    run_uvicorn(app, options)
