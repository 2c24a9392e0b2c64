"""Backpressure: who is slow holds back its own socket, and nobody else."""

import asyncio

from roomful import Consumer, Event, Limits, on

from .conftest import Serve
from .site import Audit
from .waiting import until

FILLER = "x" * 100_000


async def test_slow_handler_stops_the_reading_of_its_own_socket_alone(serve: Serve) -> None:
    """The sender is held back and loses nothing; another connection of the same consumer answers meanwhile."""
    go_on = asyncio.Event()
    handled: list[int] = []
    count = 200

    class Slow(Consumer):
        @on("slow")
        async def slow(self, data: list[object]) -> None:
            await go_on.wait()
            assert isinstance(data[0], int)
            handled.append(data[0])

        @on("quick")
        async def quick(self, data: int) -> int:
            return data

    site = await serve(Slow)
    async with site.connect() as held, site.connect() as other:

        async def send_all() -> None:
            for number in range(count):
                await held.send(Event("slow", [number, FILLER]), timeout_s=20)

        sending = asyncio.create_task(send_all())
        for number in range(200):
            await other.send(Event("quick", number), id=number)
            assert (await other.receive_reply(number)).data == number
        assert not sending.done()
        assert handled == []
        go_on.set()
        await sending
        await until(lambda: len(handled) == count)

    assert handled == list(range(count))


async def test_member_that_does_not_read_holds_nobody_back(serve: Serve) -> None:
    """The others get everything in order while it is let go, counted and out of its rooms."""

    class Member(Consumer):
        async def connect(self) -> None:
            await self.join("room")

    site, audit = await serve(Member, limits=Limits(linger_s=0.1)), Audit()
    async with site.connect() as stuck, site.connect() as one, site.connect() as two:
        for name, client in (("stuck", stuck), ("one", one), ("two", two)):
            audit.joined(name, await client.receive_event("roomful.joined"))
        number = 0
        while not site.hub.statistics().let_go:
            await audit.push(site.hub, "room", Event("post", [number, FILLER]))
            for name, client in (("one", one), ("two", two)):
                audit.arrived(name, await client.receive_event("post"))
            number += 1
            assert number < 500, "somebody who reads nothing is still a member"
        audit.ledger.ended("stuck")
        await audit.push(site.hub, "room", Event("after"))
        for name, client in (("one", one), ("two", two)):
            audit.arrived(name, await client.receive_event("after"))
        await until(lambda: site.hub.statistics().connections == 2)

        assert site.hub.statistics().let_go == {"slow": 1}
        assert site.hub.statistics().memberships == 2
        stuck.abort()

    judgement = audit.ledger.judge()
    assert judgement.ok, str(judgement)


async def test_handler_that_sends_without_end_is_held_back_by_its_own_client(serve: Serve) -> None:
    """`send` waits while the client reads too slowly, so that an export needs no bounds of its own."""
    sent = 0
    count = 300

    class Export(Consumer):
        async def connect(self) -> None:
            await self.join("room")

        @on("export")
        async def export(self) -> None:
            nonlocal sent
            for number in range(count):
                await self.send(Event("row", [number, FILLER]))
                sent += 1

    site = await serve(Export)
    async with site.connect() as client, site.connect() as other:
        await other.receive_event("roomful.joined")
        await client.send(Event("export"), id=1)
        await until(lambda: site.hub.statistics().paused == 1)
        for number in range(50):
            await other.send(Event("no such"), id=number)
            await other.receive_error("unknown_type")
        assert 0 < sent < count
        for number in range(count):
            row = await client.receive_event("row")
            assert isinstance(row.data, list)
            assert row.data[0] == number
        await client.receive_reply(1)

    assert site.hub.statistics().let_go == {}


async def test_client_that_asks_and_does_not_read_is_held_back(serve: Serve) -> None:
    """Replies that nobody takes do not pile up: its next message waits for room, and so in the end does the client."""
    count = 300

    class Echo(Consumer):
        @on("echo")
        async def echo(self, data: str) -> str:
            return data

    site = await serve(Echo)
    async with site.connect() as client:

        async def ask() -> None:
            for number in range(count):
                await client.send(Event("echo", FILLER), id=number, timeout_s=20)

        asking = asyncio.create_task(ask())
        await until(lambda: site.hub.statistics().paused == 1)
        done, _ = await asyncio.wait((asking,), timeout=0.2)
        assert not done
        assert site.hub.statistics().outbox_bytes < site.hub.limits.max_outbox_bytes
        for number in range(count):
            assert (await client.receive_reply(number)).data == FILLER
        await asking

    assert site.hub.statistics().let_go == {}
