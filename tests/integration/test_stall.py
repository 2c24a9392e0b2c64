"""A member that stalls and then reads on gets each offset exactly once."""

import asyncio

import pytest

from roomful import Consumer, Event, Limits
from roomful.testing import Client

from .conftest import Serve
from .site import Audit
from .waiting import until

FILLER = "x" * 20_000
LIMITS = Limits(max_outbox_messages=1000, max_outbox_bytes=64 * 1024 * 1024)


class Member(Consumer):
    async def connect(self) -> None:
        await self.join("room")
        await self.send(Event("id", self.id))


@pytest.mark.parametrize("stalls", [1, 3])
async def test_member_that_stalls_and_reads_on_gets_each_offset_once(serve: Serve, stalls: int) -> None:
    """Its transport fills up and its outbox takes over; direct sends keep their place, and nothing comes twice."""
    site, audit = await serve(Member, limits=LIMITS), Audit()
    pushed = 0
    async with site.connect() as staller, site.connect() as healthy:
        audit.joined("staller", await staller.receive_event("roomful.joined"))
        audit.joined("healthy", await healthy.receive_event("roomful.joined"))
        id_ = (await staller.receive_event("id")).data
        assert isinstance(id_, str)
        await healthy.receive_event("id")

        async def push() -> None:
            nonlocal pushed
            pushed += 1
            await audit.push(site.hub, "room", Event("post", [pushed, FILLER]))
            if pushed % 5 == 0:
                await site.hub.send(id_, Event("direct", pushed))  # type: ignore[arg-type] # its id
            audit.arrived("healthy", await healthy.receive_event("post"))

        async def read(client: Client, until_number: int) -> None:
            """Read on, with what else is due at that point."""
            nonlocal seen
            while seen < until_number:
                received = await client.receive()
                if received.type == "direct":
                    assert received.data == seen
                    continue
                audit.arrived("staller", received)
                assert isinstance(received.data, list)
                seen += 1
                assert received.data[0] == seen

        seen = 0
        for _ in range(stalls):
            # It reads nothing until a good part of what is pushed waits in its outbox; buffers on the way may grow.
            while site.hub.statistics().outbox_bytes < 20 * len(FILLER):
                await push()
            # It reads on while pushes go on: the outbox is emptied and filled at once.
            reading = asyncio.create_task(read(staller, pushed + 30))
            for _ in range(30):
                await push()
            await reading
            await until(lambda: not site.hub.statistics().paused)

    assert site.hub.statistics().let_go == {}
    audit.assert_clean(at_least=2 * pushed)
