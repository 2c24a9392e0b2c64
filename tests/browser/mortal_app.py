"""A server that dies between handling and answering: it writes down what it handles, and kills itself when asked to."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.responses import HTMLResponse

from roomful import Consumer, Hub, browser, on
from roomful.fastapi import consumer_route
from tests.browser.scripted import PAGE, POLICY

__all__ = ("app",)

hub = Hub(os.environ["LAYER"])
app = FastAPI(lifespan=hub.lifespan)


@app.get("/", response_class=HTMLResponse, include_in_schema=False)
async def page() -> Any:
    """Serve the page."""
    return HTMLResponse(PAGE, headers={"Content-Security-Policy": POLICY})


@consumer_route(app, "/ws", hub=hub)
class Mortal(Consumer):
    """Handles numbers."""

    @on("count")
    async def count(self, number: int) -> int:
        """Write a number down."""
        with Path(os.environ["HANDLED"]).open("a", encoding="ascii") as file:  # noqa: ASYNC230 -- nobody else waits
            file.write(f"{number}\n")
        return number

    @on("die")
    async def die(self, number: int) -> None:
        """Write a number down, and never answer."""
        await self.count(number)
        os.kill(os.getpid(), signal.SIGKILL)


app.mount("/", browser.app)
