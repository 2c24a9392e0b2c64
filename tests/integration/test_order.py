"""Order: one order of a room for all its members, direct sends in their place, and what joins and leaves see of it."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from roomful import Consumer, Event, on
from roomful.testing import Client

from .conftest import Serve
from .site import Audit, Site


class Member(Consumer):
    """Is in the room from the start; joins, leaves and posts when it is told to."""

    async def connect(self) -> None:
        await self.join("room")
        await self.send(Event("id", self.id))

    @on("post")
    async def post(self, data: object) -> None:
        await self.hub.push("room", Event("post", data))

    @on("quiet")
    async def quiet(self, data: object) -> None:
        await self.hub.push("room", Event("post", data), exclude=self)

    @on("leave")
    async def go(self) -> None:
        await self.leave("room")

    @on("join")
    async def come(self) -> None:
        await self.join("room")


class RawMember(Consumer, owns_wire=True):
    """Is in the same room, and gets no positions."""

    async def connect(self) -> None:
        await self.join("room")


@asynccontextmanager
async def members(site: Site, audit: Audit, count: int) -> AsyncIterator[dict[str, Client]]:
    """Connect members; their ids name them."""
    clients: dict[str, Client] = {}
    async with AsyncExitStack() as stack:
        for _ in range(count):
            client = await stack.enter_async_context(site.connect())
            joined = await client.receive_event("roomful.joined")
            name = str((await client.receive_event("id")).data)
            audit.joined(name, joined)
            clients[name] = client
        yield clients


async def test_direct_sends_keep_their_place_among_pushes(serve: Serve) -> None:
    """Whatever is pushed and sent in one pass or over several, each member gets it in the order of the calls."""
    site, audit = await serve(Member), Audit()
    choose = random.Random(7)
    async with members(site, audit, 3) as clients:
        expected: dict[str, list[object]] = {name: [] for name in clients}
        for number in range(400):
            if choose.random() < 0.6:
                event = Event("post", number)
                receipt = site.hub.push_nowait("room", event).result()
                audit.pushed("room", receipt.position, event)
                for told in expected.values():
                    told.append(number)
            else:
                name = choose.choice(list(clients))
                site.hub.engine.send(name, Event("direct", number))  # type: ignore[arg-type] # its id
                expected[name].append(number)
            if choose.random() < 0.1:
                await asyncio.sleep(0)

        for name, client in clients.items():
            got = [await client.receive() for _ in expected[name]]
            assert [received.data for received in got] == expected[name]
            for received in got:
                if received.type == "post":
                    audit.arrived(name, received)

    audit.assert_clean(at_least=600)


async def test_all_members_see_what_many_send_in_one_order(serve: Serve) -> None:
    """Several clients post at once: each sees all posts, each sender's in its order, by the same positions."""
    site, audit, each = await serve(Member), Audit(), 60
    async with members(site, audit, 4) as clients:

        async def post(name: str) -> None:
            for number in range(each):
                await clients[name].send(Event("post", [name, number]))

        async def read(name: str) -> list[object]:
            got = []
            for _ in range(each * len(clients)):
                received = await clients[name].receive_event("post", room="room")
                assert received.pos is not None
                audit.pushed("room", received.pos, Event("post", received.data))
                audit.arrived(name, received)
                got.append(received.data)
            return got

        _, orders = await asyncio.gather(
            asyncio.gather(*map(post, clients)), asyncio.gather(*map(read, clients))
        )

    assert all(order == orders[0] for order in orders)
    for name in clients:
        assert [data[1] for data in orders[0] if data[0] == name] == list(range(each))  # type: ignore[index] # lists
    audit.assert_clean(at_least=each * 16)


async def test_who_joins_and_leaves_gets_exactly_what_is_pushed_between(serve: Serve) -> None:
    """After `roomful.joined` everything comes; after a leave nothing does, and nothing before it is missing."""
    site, audit = await serve(Member), Audit()
    async with members(site, audit, 2) as clients:
        (steady, one), (name, moving) = clients.items()
        for turn in range(30):
            for number in range(3):
                await audit.push(site.hub, "room", Event("post", [turn, number]))
            await moving.send(Event("leave"), id=turn)
            # Pushes go on while the leave is on its way, so its place is known only by what came before the reply.
            at = [await audit.push(site.hub, "room", Event("post", [turn, "meanwhile", n])) for n in range(3)]
            last = -1
            while (received := await moving.receive()).reply != turn:
                audit.arrived(name, received)
                assert received.pos is not None
                last = received.pos.offset
            audit.ledger.left(name, ("room", at[0].position.epoch), until=last)
            await audit.push(site.hub, "room", Event("post", [turn, "while away"]))
            await moving.send(Event("join"))
            audit.joined(name, await moving.receive_event("roomful.joined"))
        last_push = await audit.push(site.hub, "room", Event("post", "last"))
        for who, client in clients.items():
            while (received := await client.receive_event("post")).pos != last_push.position:
                audit.arrived(who, received)
            audit.arrived(who, received)

    assert one is not moving
    assert steady != name
    audit.assert_clean(at_least=300)


async def test_excluded_member_gets_the_position_alone(serve: Serve) -> None:
    """It stands where the others stand, without the event; a resume would not bring it either."""
    site, audit = await serve(Member), Audit()
    async with members(site, audit, 3) as clients:
        (name, sender), *others = clients.items()
        for number in range(20):
            await sender.send(Event("quiet" if number % 2 else "post", number))
        for number in range(20):
            for who, client in others:
                received = await client.receive_event("post", room="room")
                assert received.data == number
                assert received.pos is not None
                audit.pushed("room", received.pos, Event("post", number))
                audit.arrived(who, received)
            received = await sender.receive()
            assert received.pos is not None
            if number % 2:
                assert received.fields == {
                    "type": "roomful.position",
                    "room": "room",
                    "pos": str(received.pos),
                }
                audit.excluded(name, "room", received.pos)
            else:
                audit.arrived(name, received)

    audit.assert_clean(at_least=50)


async def test_members_that_own_their_wire_get_the_same_order_without_positions(serve: Serve) -> None:
    """Two kinds of members in one room; what is pushed as text or bytes reaches both as it is."""
    site, audit = await serve({"/": Member, "/raw": RawMember}), Audit()
    async with members(site, audit, 1) as clients, site.connect("/raw") as raw:
        [(name, client)] = clients.items()
        await site.hub.push("room", Event("post", 1))
        await site.hub.push("room", "plain")
        await site.hub.push("room", b"\x00\x01")
        await site.hub.push("room", Event("image", b"\xff\x00"))
        await site.hub.push("room", "hidden", exclude=name)  # type: ignore[arg-type] # its id
        await site.hub.push("room", "end")

        assert [(await raw.receive()).raw for _ in range(6)] == [
            '{"type":"post","data":1}',
            "plain",
            b"\x00\x01",
            b"\xff\x00",
            "hidden",
            "end",
        ]
        assert (await client.receive_event("post")).data == 1
        offsets = []
        for text in ("plain", b"\x00\x01"):
            assert (await client.receive()).raw == text
            # The application's own message cannot carry its position, which follows it.
            offsets.append((await client.receive_event("roomful.position")).pos)
        assert (await client.receive_event("image")).data == b"\xff\x00"
        offsets.append((await client.receive_event("roomful.position")).pos)
        assert (await client.receive()).raw == "end"
        offsets.append((await client.receive_event("roomful.position")).pos)
        assert [at.offset - offsets[0].offset for at in offsets if at and offsets[0]] == [0, 1, 3, 4]


async def test_binary_events_and_large_ones_keep_their_place(serve: Serve) -> None:
    """An image of megabytes arrives byte for byte between its neighbours."""
    site, audit = await serve(Member), Audit()
    image = random.Random(1).randbytes(4_000_000)
    async with members(site, audit, 2) as clients:
        events = [Event("post", 1), Event("image", image), Event("post", 2), Event("image", b"")]
        pushing = asyncio.gather(*(audit.push(site.hub, "room", event) for event in events))
        for name, client in clients.items():
            for event in events:
                received = await client.receive_event(event.type)
                assert received.data == event.data
                audit.arrived(name, received)
        await pushing

    audit.assert_clean(at_least=8)


async def test_compressed_messages_arrive_unchanged(serve_network: Serve) -> None:
    """A client that offers compression gets the same, whether the server takes the offer or not."""
    site, audit = await serve_network(Member), Audit()
    async with site.connect(compression="deflate") as packed, site.connect() as plain:
        for name, client in (("packed", packed), ("plain", plain)):
            audit.joined(name, await client.receive_event("roomful.joined"))
            await client.receive_event("id")
        for number in range(20):
            data = {"n": number, "text": "compressible " * number * 50}
            await packed.send(Event("post", data))
            for name, client in (("packed", packed), ("plain", plain)):
                received = await client.receive_event("post")
                assert received.data == data
                assert received.pos is not None
                audit.pushed("room", received.pos, Event("post", data))
                audit.arrived(name, received)

    audit.assert_clean(at_least=40)


async def test_rooms_do_not_mix(serve: Serve) -> None:
    """A member of two rooms gets both, each in its order; a member of one gets nothing of the other."""

    class TwoRooms(Consumer):
        async def connect(self, which: str) -> None:
            for room in which:
                await self.join(room)

    site, audit = await serve({"/{which}": TwoRooms}), Audit()
    async with site.connect("/ab") as both, site.connect("/b") as one:
        audit.joined("both", await both.receive_event("roomful.joined", room="a"))
        audit.joined("both", await both.receive_event("roomful.joined", room="b"))
        audit.joined("one", await one.receive_event("roomful.joined", room="b"))
        for number in range(50):
            await audit.push(site.hub, "ab"[number % 2], Event("post", number))
        for _ in range(50):
            audit.arrived("both", await both.receive_event("post"))
        for _ in range(25):
            audit.arrived("one", await one.receive_event("post", room="b"))

    audit.assert_clean(at_least=75)
