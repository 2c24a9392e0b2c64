"""A chat in rooms.

uvicorn examples.chat.app:app
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, StringConstraints

from examples.pages import add_page
from roomful import (
    Admission,
    Consumer,
    Event,
    Hub,
    Limits,
    Principal,
    ReplyError,
    RoomPolicy,
    Tickets,
    browser,
    on,
)
from roomful.fastapi import consumer_route

from .images import MAX_IMAGE_BYTES, image_kind, signed_image
from .names import MAX_NAME, MAX_ROOM, tidy

__all__ = ("Chat", "app", "hub")

tickets = Tickets()
# A few images may wait for somebody whose connection is slow, before it is let go and has to come back. Then it gets
# what it missed.
hub = Hub(
    rooms={"chat:*": RoomPolicy(history=500, history_bytes=8 * MAX_IMAGE_BYTES)},
    limits=Limits(max_outbox_bytes=4 * MAX_IMAGE_BYTES),
    auth=tickets,
    # A page can read a close code, and of a refused handshake nothing.
    admission=Admission(tell_browsers=True),
)
app = FastAPI(title="Chat", lifespan=hub.lifespan)
add_page(app, Path(__file__).parent / "page")
app.mount("/roomful", browser.app)  # roomful.js, which the page imports


@app.post("/ticket")
async def ticket(name: str = "") -> dict[str, str]:
    """Give whoever says a name a ticket for it; an application with users would ask who it is first."""
    return {"ticket": await tickets.issue(Principal(_checked("name", name, MAX_NAME)))}


class Post(BaseModel):
    """A message. `mark` is the sender's own word for it, by which it knows it again after a break."""

    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
    mark: Annotated[str, StringConstraints(max_length=40)] = ""


class Typing(BaseModel):
    active: bool


@consumer_route(app, "/ws/{room}", hub=hub)
class Chat(Consumer):
    """Somebody in a room. The others get what they do; they themselves get a reply."""

    room = ""  # until they are in one

    async def connect(self, room: str) -> None:
        self.name = self.principal.id
        room = f"chat:{_checked('room', room, MAX_ROOM)}"
        await self.join(room)
        self.room = room
        await self._tell("entered")

    @on("post")
    async def post(self, post: Post) -> dict[str, int]:
        at = _now_ms()
        await self._tell("post", text=post.text, mark=post.mark, at=at)
        return {"at": at}

    @on("typing")
    async def typing(self, typing: Typing) -> None:
        await self._tell("typing", active=typing.active)

    @on("image")
    async def image(self, image: bytes) -> dict[str, int]:
        if len(image) > MAX_IMAGE_BYTES:
            raise ReplyError("too_big", f"an image may have {MAX_IMAGE_BYTES // 1024**2} MB at most")
        if (kind := image_kind(image)) is None:
            raise ReplyError("no_image", "this is not a PNG, JPEG, GIF or WebP image")
        await self.hub.push(self.room, Event("image", signed_image(self.name, kind, image)), exclude=self.id)
        return {"at": _now_ms()}

    async def disconnect(self, code: int) -> None:
        if self.room:
            await self._tell("left")

    async def _tell(self, what: str, **data: object) -> None:
        await self.hub.push(self.room, Event(what, {"by": self.name, **data}), exclude=self.id)


def _checked(what: str, text: str, limit: int) -> str:
    tidied = tidy(text, limit)
    if tidied is None:
        raise HTTPException(422, f"a {what} has 1 to {limit} printable characters")
    return tidied


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
