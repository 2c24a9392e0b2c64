"""An application whose handlers wait until they are told: `roomful serve tests.integration.draining:app`."""

import asyncio

from fastapi import FastAPI

from roomful import Consumer, Hub, Limits, on
from roomful.fastapi import consumer_route

__all__ = ("app",)

hub = Hub(limits=Limits(drain_timeout_s=2, linger_s=0.2))
app = FastAPI(lifespan=hub.lifespan)
go_on = asyncio.Event()


@consumer_route(app, "/ws", hub=hub)
class Worker(Consumer):
    """Works for a while."""

    async def connect(self) -> None:
        await self.join("room")

    @on("work")
    async def work(self) -> str:
        """Wait for another client's word."""
        await go_on.wait()
        return "done"

    @on("go on")
    async def go_on(self) -> None:
        """Let all that wait go on, a while after this has been answered."""
        asyncio.get_running_loop().call_later(0.2, go_on.set)

    @on("hang")
    async def hang(self) -> None:
        """Never end."""
        await asyncio.Event().wait()
