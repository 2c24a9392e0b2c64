"""Roomful on its own interface server, through FastAPI and a dependency."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, FastAPI, Query

from bench.servers.roomful_consumers import CONSUMERS, settings
from bench.servers.serving import run_uvicorn, start
from roomful import Hub
from roomful.fastapi import consumer_route


async def current_user(token: Annotated[str, Query()] = "somebody") -> str:
    """Stand for the dependency that says who is connected."""
    return token


if __name__ == "__main__":
    options = start()
    settings.handler_s = options.handler_s
    hub = Hub()
    app = FastAPI(lifespan=hub.lifespan)
    consumer_route(app, f"/{options.program}", hub=hub, dependencies=[Depends(current_user)])(
        CONSUMERS[options.program]
    )
    run_uvicorn(app, options, ws="roomful.server:WebSocketProtocol")
