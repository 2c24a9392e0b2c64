"""What the transcripts of `wire.md` talk to."""

from roomful import Consumer, Event, Hub, ReplyError, RoomPolicy, on

hub = Hub(rooms={"kept": RoomPolicy(history=2), "hall": RoomPolicy(presence=True)})


class Desk(Consumer):
    async def connect(self) -> None:
        await self.join("desk")

    @on("post")
    async def post(self, text: str) -> int:
        await self.hub.push("desk", Event("post", {"text": text}))
        return len(text)

    @on("hint")
    async def hint(self) -> None:
        await self.hub.push("desk", Event("hint"), exclude=self.id)

    @on("raw")
    async def raw(self) -> None:
        await self.hub.push("desk", "a text of the application's own")

    @on("whisper")
    async def whisper(self, text: str) -> None:
        await self.send(Event("whisper", text))

    @on("image")
    async def image(self, image: bytes) -> None:
        await self.hub.push("desk", Event("image", image))

    @on("close")
    async def shut(self) -> None:
        raise ReplyError("closed", "the desk opens at nine")

    @on("fail")
    async def fail(self) -> None:
        raise LookupError("what the client must not see")


class Kept(Consumer):
    async def connect(self) -> None:
        at = [await self.hub.push("kept", Event("post", text)) for text in ("a", "b", "c")]
        await self.join("kept", since=str(at[0].position).replace(":1", ":0"))
        await self.leave("kept")
        await self.join("kept", since="gone:7")


class Present(Consumer):
    async def connect(self) -> None:
        await self.join("hall", who="ada", info={"mood": "fine"})
        await self.send_presence("hall")

    @on("mood")
    async def mood(self, mood: str) -> None:
        await self.join("hall", info={"mood": mood})

    @on("who")
    async def who(self) -> None:
        await self.send_presence("hall")


class Listener(Consumer):
    async def connect(self) -> None:
        await self.join("desk")


class Raw(Consumer, owns_wire=True):
    async def connect(self) -> None:
        await self.join("desk")

    async def receive(self, message: str) -> None:
        await self.hub.push("desk", message)


apps = {"/desk": Desk, "/kept": Kept, "/listener": Listener, "/present": Present, "/raw": Raw}
