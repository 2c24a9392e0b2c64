"""FastAPI on uvicorn: one query of SQLAlchemy's async API for each message, in a session of its own."""

from __future__ import annotations

import random

from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from sqlalchemy import select
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from bench.servers.orm_table import ROWS, make_table
from bench.servers.serving import run_uvicorn, start

options = start()
app = FastAPI()
# As many connections as Roomful has threads for the database.
sessions = async_sessionmaker(
    create_async_engine(f"sqlite+aiosqlite:///{make_table()}", pool_size=8, max_overflow=0, pool_timeout=300)
)


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
            text = await websocket.receive_text()
            async with sessions() as session:
                await session.scalar(select(Item).where(Item.id == random.randrange(ROWS)))
            await websocket.send_text(text)
    except WebSocketDisconnect:
        pass


if __name__ == "__main__":
    run_uvicorn(app, options)
