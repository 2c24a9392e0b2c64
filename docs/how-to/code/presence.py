"""Who is there: the program of the page."""

from roomful import Consumer, Hub, RoomPolicy, on

hub = Hub(rooms={"chat:*": RoomPolicy(presence=True, presence_grace_s=5)})


class Chat(Consumer):
    async def connect(self, room: str, name: str) -> None:
        self.room = f"chat:{room}"
        await self.join(self.room, who=name, info={"mood": "fine"})
        await self.send_presence(self.room)

    @on("mood")
    async def mood(self, mood: str) -> None:
        await self.join(self.room, info={"mood": mood})


async def names(room: str) -> list[str]:
    return sorted((await hub.presence(f"chat:{room}")).who)
