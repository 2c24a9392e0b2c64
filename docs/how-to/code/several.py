import os

from fastapi import FastAPI

from roomful import Consumer, Event, Hub, RoomPolicy, on
from roomful.endpoint import HealthCheck
from roomful.fastapi import consumer_route

hub = Hub(
    os.environ.get("LAYER", "memory://"),
    rooms={"chat:*": RoomPolicy(history=1000), "user:*": RoomPolicy(history=100)},
)
app = FastAPI(lifespan=hub.lifespan)
app.mount("/health", HealthCheck(hub))


@consumer_route(app, "/ws/chat/{room}/{user}", hub=hub)
class Chat(Consumer):
    async def connect(self, room: str, user: str) -> None:
        self.room = f"chat:{room}"
        await self.join(self.room)
        await self.join(f"user:{user}")

    @on("post")
    async def post(self, text: str) -> None:
        await self.hub.push(self.room, Event("post", text))


async def notify(user: str, text: str) -> None:
    await hub.push(f"user:{user}", Event("notice", text))
