"""What a node of the tests serves: members of rooms, and posts that push. Its layer is named by the environment."""

import os
from typing import Any

from roomful import Consumer, Event, Hub, RoomPolicy, on
from roomful.routing import ProtocolTypeRouter, URLRouter, route

hub = Hub(rooms={"kept:*": RoomPolicy(history=5000, history_bytes=16 * 1024 * 1024)})


class Member(Consumer):
    async def connect(self, room: str) -> None:
        self.room = room
        await self.join(room)

    @on("post")
    async def post(self, data: Any) -> str:
        return str((await self.hub.push(self.room, Event("post", data))).position)

    @on("who")
    async def who(self) -> list[Any]:
        return [self.id, os.getpid()]

    @on("tell")
    async def tell(self, data: Any) -> None:
        await self.hub.send(data["id"], Event("told", data["what"]))

    @on("part")
    async def part(self, data: Any) -> None:
        await self.hub.disconnect(data["id"], 4500, "asked to")


app = ProtocolTypeRouter({"websocket": URLRouter([route("/ws/{room}", Member.as_asgi(hub=hub))])}, hub=hub)
