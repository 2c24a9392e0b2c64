"""Members that come, go, stall and fail at random, with bounds so small that many are let go; the ledger judges."""

import asyncio
import os
import random
from contextlib import suppress

import pytest

from roomful import Consumer, Event, Limits, Position, UnknownConnection, on
from roomful.core.ledger import Verdict
from roomful.core.names import ConnectionId
from roomful.testing import Client, ConnectionClosed, Received

from .conftest import Serve
from .site import Audit, Site

pytestmark = pytest.mark.slow

LIMITS = Limits(
    max_outbox_messages=20,
    max_outbox_bytes=40_000,
    max_write_buffer_bytes=4_000,
    max_inbox_messages=4,
    max_batch_frames=4,
    linger_s=0.02,
    handler_grace_s=0.2,
)
ROOMS = ("a", "b")
ACTORS = 8
PUSHES = 250
SEEDS = int(os.environ.get("ROOMFUL_SEEDS", "2"))


class Member(Consumer):
    """Does what it is told."""

    async def connect(self) -> None:
        await self.send(Event("id", self.id))

    @on("join")
    async def enter(self, data: str) -> None:
        await self.join(data)

    @on("leave")
    async def go(self, data: str) -> None:
        await self.leave(data)

    @on("slow")
    async def slow(self, data: int) -> None:
        for _ in range(data):
            await asyncio.sleep(0)


class Visit:
    """One connection of an actor, under a name of its own.

    Attributes:
        at: Where it stands in each room that it is a member of.
    """

    def __init__(self, name: str, client: Client, audit: Audit) -> None:
        self.at: dict[str, Position] = {}
        self._name = name
        self._client = client
        self._audit = audit
        self._asked: dict[int, str] = {}
        self._wants: set[str] = set()

    async def join(self, room: str) -> None:
        if room not in self.at and room not in self._wants and room not in self._asked.values():
            self._wants.add(room)
            await self._client.send(Event("join", room), timeout_s=20)

    async def leave(self, room: str) -> None:
        if room in self.at and room not in self._asked.values():
            id_ = len(self._asked) + random.getrandbits(40)
            self._asked[id_] = room
            await self._client.send(Event("leave", room), id=id_, timeout_s=20)

    def take(self, received: Received) -> None:
        """Record what came."""
        if received.type == "roomful.joined":
            assert received.room is not None
            assert received.pos is not None
            self._wants.discard(received.room)
            self.at[received.room] = received.pos
            self._audit.joined(self._name, received)
        elif received.type == "post":
            assert received.room is not None
            assert received.pos is not None
            self._audit.arrived(self._name, received)
            self.at[received.room] = received.pos
        elif isinstance(received.reply, int):
            room = self._asked.pop(received.reply)
            at = self.at.pop(room)
            self._audit.ledger.left(self._name, (room, at.epoch), until=at.offset)
        assert received.error is None, f"{received}"

    def ended(self) -> None:
        """Record that the connection ended in the middle of it."""
        for room, at in self.at.items():
            self._audit.ledger.ended(self._name, (room, at.epoch))


class Chaos:
    """All actors, and one who pushes."""

    def __init__(self, site: Site, seed: int) -> None:
        self.audit = Audit()
        self._site = site
        self._seed = seed
        self._ids: set[ConnectionId] = set()
        self._is_over = False

    async def push(self, pacer: Client) -> None:
        choose = random.Random(self._seed)
        await pacer.receive_event("id")
        for number in range(PUSHES):
            size = choose.choice((0, 10, 100, 3000))
            await self.audit.push(self._site.hub, choose.choice(ROOMS), Event("post", [number, "x" * size]))
            if choose.random() < 0.5:
                # A turn for everybody, over the same transport as theirs.
                await pacer.send(Event("slow", 1), id=number)
                await pacer.receive_reply(number, timeout_s=20)
        self._is_over = True
        for id_ in self._ids:
            # Whoever is in no room learns of the end in this way.
            with suppress(UnknownConnection, ConnectionClosed):
                await self._site.hub.send(id_, Event("over"))

    async def act(self, actor: int) -> None:
        choose = random.Random(f"{self._seed} {actor}")
        visits = 0
        while visits == 0 or not self._is_over:
            visits += 1
            async with self._site.connect() as client:
                visit = Visit(f"{actor}.{visits}", client, self.audit)
                try:
                    await self._visit(client, visit, choose)
                except ConnectionClosed:
                    visit.ended()

    async def _visit(self, client: Client, visit: Visit, choose: random.Random) -> None:
        id_ = (await client.receive_event("id")).data
        assert isinstance(id_, str)
        self._ids.add(ConnectionId(id_))
        is_asked = False
        await visit.join(choose.choice(ROOMS))
        while True:
            if self._is_over and not is_asked:
                # The reply stands behind all that was pushed before.
                is_asked = True
                await client.send(Event("slow", 0), id="end", timeout_s=20)
            received = await client.receive(timeout_s=20)
            if received.reply == "end":
                return
            visit.take(received)
            if not self._is_over and choose.random() < 0.3:
                await self._misbehave(client, visit, choose)

    async def _misbehave(self, client: Client, visit: Visit, choose: random.Random) -> None:
        match choose.choice(
            ("stall", "stall", "slow", "leave", "join", "join", "close", "abort", "", "", "", "")
        ):
            case "stall":
                for _ in range(choose.randint(1, 300)):
                    await asyncio.sleep(0)
            case "slow":
                for _ in range(choose.randint(1, 10)):
                    await client.send(Event("slow", choose.randint(0, 5)), timeout_s=20)
            case "leave":
                await visit.leave(choose.choice(ROOMS))
            case "join":
                await visit.join(choose.choice(ROOMS))
            case "close":
                await client.close()
            case "abort":
                client.abort()


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_chaos_loses_repeats_and_reorders_nothing(serve: Serve, seed: int) -> None:
    """Each member gets its part of the room in order and once; it may miss only what stood at its connection's end."""
    site = await serve(Member, limits=LIMITS)
    chaos = Chaos(site, seed)

    async with site.connect() as pacer, asyncio.TaskGroup() as group:
        for actor in range(ACTORS):
            group.create_task(chaos.act(actor))
        group.create_task(chaos.push(pacer))

    chaos.audit.assert_clean(allow=(Verdict.IN_DOUBT,), at_least=PUSHES // 4)
    assert set(site.hub.statistics().let_go) <= {"slow", "broken"}
