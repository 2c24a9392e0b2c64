"""A small application with a real hub, for the tests of roomful.js."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.responses import HTMLResponse

from roomful import CloseCode, Consumer, Event, Hub, Refuse, ReplyError, RoomPolicy, browser, on
from roomful.fastapi import consumer_route
from tests.browser.scripted import PAGE, POLICY

__all__ = ("make_site",)


def make_site() -> tuple[FastAPI, Hub]:
    """Return an application and its hub."""
    hub = Hub(rooms={"present": RoomPolicy(presence=True)})
    app = FastAPI(lifespan=hub.lifespan)

    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    async def page() -> Any:
        return HTMLResponse(PAGE, headers={"Content-Security-Policy": POLICY})

    @consumer_route(app, "/ws/{room}", hub=hub)
    class Site(Consumer):
        async def connect(self, room: str) -> None:
            await self.accept()
            if room == "forbidden":
                raise Refuse(403, "not for you")
            self.room = room
            await self.join(room, who="tab" if room == "present" else None)
            if room == "present":
                await self.send_presence(room)

        @on("post")
        async def post(self, data: object) -> str:
            await self.hub.push(self.room, Event("post", data))
            return "posted"

        @on("image")
        async def image(self, data: bytes) -> int:
            await self.hub.push(self.room, Event("image", data))
            return len(data)

        @on("whisper")
        async def whisper(self, data: object) -> None:
            await self.hub.push(self.room, Event("post", data), exclude=self.id)

        @on("refuse")
        async def refuse(self) -> None:
            raise ReplyError("no", "not now")

        @on("buy")
        async def buy(self, data: str) -> str:
            await self.hub.push(self.room, Event("sold", data))
            await self.close(CloseCode.SLOW)  # as if the connection had broken here
            return data.upper()

        @on("close")
        async def close_with(self, code: int) -> None:
            await self.close(code, "as you wish")

    app.mount("/", browser.app)
    return app, hub
