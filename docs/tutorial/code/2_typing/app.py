from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse

from roomful import Consumer, Event, Hub, on
from roomful.fastapi import consumer_route

hub = Hub()
app = FastAPI(lifespan=hub.lifespan)


@app.get("/")
async def page() -> FileResponse:
    return FileResponse(Path(__file__).with_name("page.html"))


@consumer_route(app, "/ws/{room}", hub=hub)
class Chat(Consumer):
    async def connect(self, room: str, name: str) -> None:
        self.room, self.name = f"chat:{room}", name
        await self.join(self.room)

    @on("post")
    async def post(self, text: str) -> None:
        await self.hub.push(self.room, Event("post", {"by": self.name, "text": text}))

    @on("typing")
    async def typing(self) -> None:
        await self.hub.push(self.room, Event("typing", self.name), exclude=self.id)
