"""Coming back: a client says where it stood, gets what it missed, and is told what is gone."""

import asyncio
import json
from contextlib import suppress
from urllib.parse import quote

import pytest

from roomful import Consumer, Event, Position, RoomPolicy, on
from roomful.testing import Client, Received, Refused

from .conftest import Serve
from .site import Audit, Site

ROOMS = {"kept": RoomPolicy(history=50), "short": RoomPolicy(history=3)}


class Member(Consumer):
    """Is in the rooms that its address names."""

    async def connect(self, rooms: str) -> None:
        for room in rooms.split("+"):
            await self.join(room)

    @on("post")
    async def post(self, data: object) -> None:
        await self.hub.push("kept", Event("post", data))


class RawMember(Consumer, owns_wire=True):
    """Gets no positions; says what became of its join."""

    async def connect(self, since: str) -> None:
        joined = await self.join("kept", since=since.replace(".", ":"))
        await self.send(f"recovered: {joined.recovered}")


PATHS = {"/raw/{since}": RawMember, "/{rooms}": Member}


def path(rooms: str, resume: object) -> str:
    return f"/{rooms}?resume={quote(resume if isinstance(resume, str) else json.dumps(resume))}"


async def until_joined(client: Client) -> list[Received]:
    """Return what came, up to the frame that says where the client stands."""
    received = [await client.receive()]
    while received[-1].type != "roomful.joined":
        received.append(await client.receive())
    return received


async def push(site: Site, room: str, count: int) -> list[str]:
    return [str((await site.hub.push(room, Event("post", number))).position) for number in range(count)]


async def test_what_was_missed_comes_before_what_is_new(serve: Serve) -> None:
    """Without a hole, a repetition or a change of order, however often it goes and comes back under load."""
    site = await serve(PATHS, rooms=ROOMS)
    audit = Audit()
    done = asyncio.Event()

    async def produce() -> None:
        for number in range(300):
            await audit.push(site.hub, "kept", Event("post", number))
            await asyncio.sleep(0)
        done.set()

    async with site.connect("/kept") as client:
        (joined,) = await until_joined(client)
        audit.joined("ann", joined)
        at = joined.pos
    producing = asyncio.create_task(produce())
    last = False
    while not last:
        last = done.is_set()
        async with site.connect(path("kept", {"kept": str(at)})) as client:
            received = await until_joined(client)
            assert json.loads(str(received[-1].raw))["recovered"] is True
            with suppress(TimeoutError):  # the last has been pushed meanwhile
                for _ in range(0 if last else 2):
                    received.append(await client.receive(timeout_s=0.5))
            for one in received:
                if one.type == "post":
                    audit.arrived("ann", one)
                at = one.pos
    await producing
    audit.assert_clean(at_least=300)


async def test_each_room_has_its_own_position(serve: Serve) -> None:
    """And one that the client does not name is joined as if it were new."""
    site = await serve(PATHS, rooms=ROOMS)
    async with site.connect("/kept+short") as keeper:  # so that positions go on
        await keeper.receive()
        kept, short = await push(site, "kept", 2), await push(site, "short", 2)
        async with site.connect(path("kept+short+other", {"kept": kept[0], "short": short[1]})) as client:
            received = [await client.receive() for _ in range(4)]
        assert [(one.type, one.room) for one in received] == [
            ("post", "kept"),
            ("roomful.joined", "kept"),
            ("roomful.joined", "short"),
            ("roomful.joined", "other"),
        ]


async def test_what_is_gone_is_told_exactly(serve: Serve) -> None:
    """Then the events that are left come, then everything."""
    site = await serve(PATHS, rooms=ROOMS)
    at = await push(site, "short", 10)
    async with site.connect(path("short", {"short": at[2]})) as client:
        gap, *rest = await until_joined(client)
        assert json.loads(str(gap.raw)) == {
            "type": "roomful.gap",
            "room": "short",
            "epoch": Position.parse(at[0]).epoch,
            "ranges": [[4, 7]],
            "reason": "evicted",
        }
        assert [str(one.pos) for one in rest] == [*at[7:], at[9]]
        assert json.loads(str(rest[-1].raw))["recovered"] is False


@pytest.mark.parametrize(
    ("since", "reason"),
    [("elsewhere:1", "epoch"), ("what?", "unknown"), ("", "unknown"), ("e" * 3000, "unknown")],
)
async def test_a_position_of_elsewhere_is_told(serve: Serve, since: str, reason: str) -> None:
    """Nobody can know what was missed."""
    site = await serve(PATHS, rooms=ROOMS)
    await push(site, "kept", 2)
    async with site.connect(path("kept", {"kept": since})) as client:
        gap, joined = await until_joined(client)
        told = json.loads(str(gap.raw))
        assert (told["reason"], told["ranges"]) == (reason, None)
        assert joined.pos is not None
        assert joined.pos.offset == 2


@pytest.mark.parametrize("resume", ["no json", "[]", "7", '{"kept":7}', '{"kept":null}', "[" * 1500])
async def test_a_resume_that_cannot_be_read_is_refused(serve: Serve, resume: str) -> None:
    """With a sentence that says why; the next client comes in."""
    site = await serve(PATHS, rooms=ROOMS)
    with pytest.raises(Refused) as refused:
        async with site.connect(path("kept", resume)):
            pass
    assert refused.value.status == 400
    assert refused.value.text.startswith("resume in the query cannot be read")
    async with site.connect("/kept") as client:
        await until_joined(client)


async def test_who_owns_the_wire_gets_what_it_missed_too(serve: Serve) -> None:
    """Its consumer knows whether that was everything."""
    site = await serve(PATHS, rooms=ROOMS)
    at = await push(site, "kept", 3)
    async with site.connect("/raw/" + at[0].replace(":", ".")) as client:
        received = [(await client.receive()).raw for _ in range(3)]
    assert received == ['{"type":"post","data":1}', '{"type":"post","data":2}', "recovered: True"]
    async with site.connect("/raw/gone.1") as client:
        assert (await client.receive()).raw == "recovered: False"
