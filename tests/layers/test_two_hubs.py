"""Two hubs on one server, as in two processes: presence, groups and answers are one over both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from roomful import Consumer, Event, Gap, Hub, InboxFull, Limits, RoomPolicy, on, on_dispatch
from roomful.layers.redis import RedisLayer
from roomful.testing import Client, Received, connect
from tests.integration.waiting import until

from .servers import Server


class Both(Consumer):
    """Is present, and in a group."""

    def __init__(self, who: str) -> None:
        self.who = who

    async def connect(self) -> None:
        await self.join("lobby", who=self.who)
        await self.join_group("alarms")

    @on_dispatch("raised")
    async def raised(self, number: int) -> None:
        await self.send(Event("raised", number))

    @on_dispatch("hold")
    async def hold(self, who: str) -> None:
        if who == self.who:
            held.append(self)
            await gates.setdefault(who, asyncio.Event()).wait()

    @on("count")
    async def count(self) -> int:
        counted.append(self.who)
        await self.hub.push("lobby", Event("counted", self.who))
        if self.who in gates:
            await gates[self.who].wait()
        return len(counted)

    async def on_gap(self, group: str, gap: Gap) -> None:
        await self.send(Event("gap", gap.ranges))


held: list[Both] = []
counted: list[str] = []
gates: dict[str, asyncio.Event] = {}


@pytest.fixture
async def hubs(server: Server, prefix: str) -> AsyncIterator[list[Hub]]:
    held.clear()
    counted.clear()
    gates.clear()
    rooms = {"lobby": RoomPolicy(presence=True, presence_grace_s=0.2)}
    limits = Limits(max_dispatch_messages=2, in_doubt_after_s=0.2)
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                Hub(RedisLayer(server.url, prefix=prefix), rooms=rooms, limits=limits)
            )
            for _ in range(2)
        ]


def at(hub: Hub, who: str, path: str = "/") -> Any:
    return connect(Both.as_asgi(hub=hub, who=who), path)


async def told(client: Client, type_: str) -> Received:
    """Return the next message of a type."""
    async with asyncio.timeout(10):
        while (received := await client.receive()).type != type_:
            pass
    return received


async def test_somebody_is_present_once_over_both(hubs: list[Hub]) -> None:
    """It comes with its first connection anywhere, and goes after its last."""
    here, there = hubs
    async with at(here, "ada") as ada:
        assert (await told(ada, "roomful.presence")).fields["who"] == "ada"
        async with at(here, "bob"):
            async with at(there, "bob") as second:
                assert (await told(ada, "roomful.presence")).fields["who"] == "bob"
                await told(second, "roomful.joined")
                for hub in hubs:
                    assert sorted((await hub.presence("lobby")).who) == ["ada", "bob"]
            async with at(there, "eve"):
                assert (await told(ada, "roomful.presence")).fields["who"] == "eve", "bob is still there"
        gone = {(await told(ada, "roomful.presence")).fields["who"] for _ in range(2)}
        assert gone == {"bob", "eve"}
        assert list((await there.presence("lobby")).who) == ["ada"]


async def test_dispatch_reaches_consumers_of_both(hubs: list[Hub]) -> None:
    """In order; a full inbox elsewhere is told to its consumer, one here to the dispatcher that asks."""
    here, there = hubs
    async with at(here, "ada") as ada, at(there, "bob") as bob:
        await until(lambda: all(hub.statistics().group_memberships == 1 for hub in hubs))
        for number in range(20):
            await here.dispatch("alarms", Event("raised", number))
            for client in (ada, bob):
                assert (await told(client, "raised")).data == number
        for who in ("ada", "bob"):
            await here.dispatch("alarms", Event("hold", who))
            await until(lambda: who in [consumer.who for consumer in held])  # noqa: B023 -- called at once
        for number in (23, 24):
            await here.dispatch("alarms", Event("raised", number))
        with pytest.raises(InboxFull) as caught:
            await here.dispatch("alarms", Event("raised", 25), on_full="refuse")
        assert caught.value.full == 1
        await until(lambda: there.statistics().inbox_full == 1)
        for gate in gates.values():
            gate.set()
        assert (await told(bob, "gap")).data == [[25, 25]]


async def test_message_that_is_sent_again_elsewhere_is_handled_once(hubs: list[Hub]) -> None:
    """The other hub gives the first answer, or is in doubt while nobody knows."""
    here, there = hubs
    async with at(here, "ada", "/?client=c") as first, at(there, "ada", "/?client=c") as second:
        assert (await told(first, "roomful.memory")).fields["id"] == (
            await told(second, "roomful.memory")
        ).fields["id"]
        for client in (first, second):
            await client.send(Event("count"), id=1)
            while (received := await client.receive()).reply != 1:
                pass
            assert received.data == 1
        assert (there.statistics().repeated, counted) == (1, ["ada"])

        gates["ada"] = asyncio.Event()
        await first.send(Event("count"), id=2)
        await told(first, "counted")
        await second.send(Event("count"), id=2)
        while (received := await second.receive()).reply != 2:
            pass
        assert received.error is not None
        assert (received.error.code, there.statistics().in_doubt) == ("in_doubt", 1)
        gates["ada"].set()
        while (received := await first.receive()).reply != 2:
            pass
        assert (received.data, counted) == (2, ["ada", "ada"])
