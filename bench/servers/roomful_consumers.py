"""Roomful's consumers, one for each program. The servers beside this file differ in what carries them."""

from __future__ import annotations

import asyncio

import msgspec

from bench.programs import Program
from bench.servers.serving import ROOM_NAME_BYTES
from roomful import Consumer, on

__all__ = ("CONSUMERS", "settings")


class Settings:
    """What the arguments say; set before the server starts."""

    handler_s = 0.0


settings = Settings()


class Post(msgspec.Struct):
    """The data of an event that is checked."""

    room: str
    text: str


class Fanout(Consumer, owns_wire=True):
    """Pushes every message to everybody."""

    async def connect(self) -> None:
        """Join."""
        await self.join("room")

    async def receive(self, message: str) -> None:
        """Push."""
        await self.hub.push("room", message)


class Reply(Fanout, owns_wire=True):
    """Pushes every message to everybody, and replies to its sender."""

    async def receive(self, message: str) -> None:
        """Push and reply."""
        await self.hub.push("room", message)
        await self.send("ok")


class Rooms(Consumer, owns_wire=True):
    """Pushes every message to its room."""

    async def connect(self) -> None:
        """Join."""
        query: bytes = self.scope["query_string"]
        for name in query.removeprefix(b"rooms=").decode().split(","):
            await self.join(name)

    async def receive(self, message: str) -> None:
        """Push."""
        await self.hub.push(message[:ROOM_NAME_BYTES], message)


class Echo(Consumer, owns_wire=True):
    """Sends every message back."""

    async def receive(self, message: str) -> None:
        """Reply."""
        await self.send(message)


class CheckedEcho(Consumer):
    """Answers every event with its data, which has been decoded and checked."""

    @on("post")
    async def post(self, post: Post) -> Post:
        """Reply."""
        return post


class Idle(Consumer, owns_wire=True):
    """Waits in a room."""

    async def connect(self) -> None:
        """Join."""
        await self.join("room")

    async def receive(self, message: str) -> None:
        """Push."""
        await self.hub.push("room", message)


class Images(Consumer, owns_wire=True):
    """Takes a while for every image."""

    async def receive(self, image: bytes) -> None:
        """Work, and say what came."""
        await asyncio.sleep(settings.handler_s)
        await self.send(f"{len(image)} {image[:64].decode()}")


CONSUMERS: dict[str, type[Consumer]] = {
    Program.FANOUT: Fanout,
    Program.REPLY: Reply,
    Program.ROOMS: Rooms,
    Program.ECHO: Echo,
    Program.EVENT: CheckedEcho,
    Program.IDLE: Idle,
    Program.IMAGES: Images,
}
