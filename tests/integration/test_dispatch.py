"""Dispatch over real sockets: producers reach consumers, in order, and full inboxes are told."""

import asyncio

import pytest

from roomful import Consumer, Event, Gap, InboxFull, Limits, on, on_dispatch

from .conftest import Serve
from .waiting import until


class Alarms(Consumer):
    """Tells its client what it was told."""

    async def connect(self) -> None:
        await self.join_group("alarms")
        await self.send(Event("ready"))

    @on_dispatch("raised")
    async def raised(self, number: int) -> None:
        await self.send(Event("raised", number))

    @on("echo")
    async def echo(self, data: object) -> object:
        return data

    @on("dispatch")
    async def dispatch(self, number: int) -> int:
        receipt = await self.hub.dispatch("alarms", Event("raised", number), exclude=self)
        return receipt.position.offset

    async def on_gap(self, group: str, gap: Gap) -> None:
        await self.send(Event("gap", [group, gap.reason, gap.ranges]))


held: set["Held"] = set()


class Held(Alarms):
    """Waits in a handler until the test lets it go on."""

    async def connect(self) -> None:
        held.add(self)
        self.gate = asyncio.Event()
        await super().connect()

    @on_dispatch("hold")
    async def hold(self) -> None:
        await self.gate.wait()

    async def disconnect(self) -> None:
        held.discard(self)


async def test_dispatch_reaches_every_consumer_of_the_group(serve: Serve) -> None:
    """From outside and from a handler, in order, beside what the client asks."""
    site = await serve(Alarms)
    async with site.connect() as ada, site.connect() as bob:
        for client in (ada, bob):
            assert (await client.receive()).type == "ready"
        for number in range(50):
            await site.hub.dispatch("alarms", Event("raised", number))
            if number % 10 == 0:
                await ada.send(Event("echo", number), id=number)
        await bob.send(Event("dispatch", 50), id=1)
        got = [await ada.receive() for _ in range(56)]
        assert [one.data for one in got if one.type == "raised"] == list(range(51))
        assert [one.reply for one in got if one.type is None] == [0, 10, 20, 30, 40]
        theirs = [await bob.receive() for _ in range(51)]
        assert [one.data for one in theirs if one.type == "raised"] == list(range(50))
        assert theirs[-1].data == 51
        statistics = site.hub.statistics()
        assert (statistics.groups, statistics.group_memberships) == (1, 2)
        assert (statistics.dispatches, statistics.dispatched) == (51, 101)
    await site.idle()
    assert site.hub.statistics().groups == 0


async def test_full_inbox_is_told_to_the_consumer_or_to_the_dispatcher(serve: Serve) -> None:
    """The consumer learns the exact range before the next dispatch; a dispatcher that asks learns how many."""
    site = await serve(Held, limits=Limits(max_dispatch_messages=4))
    async with site.connect() as ada:
        await ada.receive()
        (consumer,) = held
        await site.hub.dispatch("alarms", Event("hold"))
        await until(lambda: site.hub.statistics().dispatched == 1)
        for number in range(2, 9):
            await site.hub.dispatch("alarms", Event("raised", number))
        with pytest.raises(InboxFull) as caught:
            await site.hub.dispatch("alarms", Event("raised", 9), on_full="refuse")
        assert caught.value.full == 1
        consumer.gate.set()
        got = [(one.type, one.data) for one in [await ada.receive() for _ in range(5)]]
        await site.hub.dispatch("alarms", Event("raised", 10))
        last = await ada.receive()

    assert got[:4] == [("raised", number) for number in (2, 3, 4, 5)]
    assert got[4] == ("gap", ["alarms", "full", [[6, 8]]])
    assert (last.type, last.data) == ("raised", 10)
    assert site.hub.statistics().inbox_full == 4


async def test_client_that_goes_leaves_its_group_however_full_its_inbox_is(serve_network: Serve) -> None:
    """`disconnect` overtakes what waits; nothing of the consumer remains."""
    site = await serve_network(Held, limits=Limits(handler_grace_s=0.05))
    async with site.connect() as ada:
        await ada.receive()
        await site.hub.dispatch("alarms", Event("hold"))
        for number in range(20):
            await site.hub.dispatch("alarms", Event("raised", number))
        ada.abort()  # type: ignore[attr-defined] # a client of a network has it
    await site.idle()

    statistics = site.hub.statistics()
    assert (statistics.groups, statistics.group_memberships) == (0, 0)
    assert statistics.undispatched == 20
    assert not held
