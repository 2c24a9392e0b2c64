"""Presence over real sockets: who is there, whoever comes, and however it goes."""

from roomful import Consumer, Event, RoomPolicy, on
from roomful.testing import Client, Received

from .conftest import Serve
from .waiting import until

ROOMS = {"*": RoomPolicy(presence=True, presence_grace_s=0.2)}


class Lobby(Consumer):
    """Says who it is, and tells who is there."""

    async def connect(self, who: str) -> None:
        await self.join("lobby", who=who, info={"name": who.title()})

    @on("who")
    async def who(self) -> list[str]:
        await self.send_presence("lobby")
        return sorted((await self.hub.presence("lobby")).who)

    @on("post")
    async def post(self, text: str) -> None:
        await self.hub.push("lobby", Event("post", text))


async def told(client: Client, *, before: str = "roomful.never") -> Received:
    """Return the next message about presence; none may be of the type `before`."""
    while not ((received := await client.receive()).type or "").startswith("roomful.p"):
        assert received.type != before
    return received


async def test_change_is_told_to_every_member_once(serve: Serve) -> None:
    """A name comes with its first connection and goes after its last, with what it says of itself."""
    site = await serve({"/{who}": Lobby}, rooms=ROOMS)
    async with site.connect("/ada") as ada:
        await ada.receive()
        assert (await told(ada)).fields["who"] == "ada"
        async with site.connect("/bob") as bob:
            change = await told(ada)
            assert change.pos is None, "it has no position in the room"
            assert {name: change.fields[name] for name in ("type", "room", "who", "present", "info")} == {
                "type": "roomful.presence",
                "room": "lobby",
                "who": "bob",
                "present": True,
                "info": {"name": "Bob"},
            }
            async with site.connect("/bob") as second:
                await second.send(Event("who"), id=1)
                while (received := await second.receive()).reply is None:
                    assert received.type != "roomful.presence"
                    if received.type == "roomful.occupants":
                        assert received.fields["who"] == {"ada": {"name": "Ada"}, "bob": {"name": "Bob"}}
                assert received.data == ["ada", "bob"]
            await bob.send(Event("post", "hi"))
            assert (await ada.receive()).data == "hi"
        gone = await told(ada)
        assert (gone.fields["who"], gone.fields["present"]) == ("bob", False)
        assert "info" not in gone.fields


async def test_member_that_vanishes_rudely_goes_and_one_that_comes_back_stays(serve_network: Serve) -> None:
    """A socket that is cut off is a loss as any other; whoever is back within the grace time shows nothing."""
    site = await serve_network(
        {"/{who}": Lobby}, rooms={"*": RoomPolicy(presence=True, presence_grace_s=0.5)}
    )
    async with site.connect("/ada") as ada:
        await ada.receive()
        await told(ada)
        for _ in range(2):
            async with site.connect("/bob") as bob:
                await bob.receive()
                bob.abort()  # type: ignore[attr-defined] # a client of a network has it
                await until(lambda: site.hub.statistics().connections == 1)
        changes = [await told(ada) for _ in range(2)]
        assert [(change.fields["who"], change.fields["present"]) for change in changes] == [
            ("bob", True),
            ("bob", False),
        ]
    await site.idle()
