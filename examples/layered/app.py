"""Put the layers together: the one place that knows all of them.

    uvicorn examples.layered.app:app

Rooms live as long as the server does, unless `LAYERED_DATABASE` names a place for them, such as
`sqlite+aiosqlite:///rooms.db`.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI

from examples.pages import add_page
from roomful import Hub

from .database import open_database
from .web.handler.errors import map_errors
from .web.router import create_router
from .web.ws import HubPusher

__all__ = ("app", "create_app")


def create_app(database_url: str | None = None) -> FastAPI:
    """Return the application, with a hub and a database of its own."""
    hub = Hub()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with tempfile.TemporaryDirectory(prefix="layered-") as folder:
            url = database_url or f"sqlite+aiosqlite:///{folder}/rooms.db"
            async with open_database(url) as open_rooms, hub:
                app.state.open_rooms = open_rooms
                app.state.pusher = HubPusher(hub)
                yield

    app = FastAPI(title="Rooms", lifespan=lifespan)
    app.include_router(create_router(hub))
    map_errors(app)
    add_page(app, Path(__file__).parent / "page")
    return app


app = create_app(os.environ.get("LAYERED_DATABASE"))
