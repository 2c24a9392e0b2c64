"""Presence over nodes: a lease for each, which ends, is renewed, and does not mind what the server's clock says."""

from __future__ import annotations

import asyncio
import logging
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from roomful.core.capabilities import Change
from roomful.core.errors import LayerAway, LayerError
from roomful.core.names import RoomName, presence_topic
from roomful.layers.redis import Timing
from roomful.layers.redis.batches import AT_ONCE
from roomful.layers.redis.keys import Keys
from roomful.layers.redis.presence import NodePresence

from .scenes import Scene, make_server, scene, until
from .servers import Server

HALL = RoomName("hall")
TOPIC = presence_topic(HALL)


@pytest.fixture
def url(server: Server, prefix: str) -> str:
    return f"{server.url}?prefix={prefix}"


def presence_of(one: Scene) -> NodePresence:
    presence = one.layer._presence
    assert presence is not None
    return presence


def die(one: Scene) -> None:
    """Give no more sign of life, as after SIGKILL."""
    renewing = presence_of(one)._renewing
    assert renewing is not None
    renewing.cancel()


async def look(one: Scene) -> None:
    """Renew the lease and look whose has run out, as a node does every now and then."""
    await presence_of(one)._look()


class Tap:
    """A node's way to the server, which may end after so many commands; it sees how many are under way at one time."""

    def __init__(self, one: Scene) -> None:
        self.left: float = float("inf")
        self.most = 0
        self.after: Callable[[str], Awaitable[None]] | None = None
        self._under_way = 0
        presence = presence_of(one)
        self._client = presence._client
        presence._client = presence._lease._client = self  # type: ignore[assignment] -- it does what they ask of one

    @property
    def is_up(self) -> bool:
        return self._client.is_up

    async def call(self, name: str, *arguments: object) -> object:
        return await self._pass(name, self._client.call(name, *arguments))  # type: ignore[arg-type] -- as it came

    async def command(self, *command: object) -> object:
        return await self._pass(str(command[0]), self._client.command(*command))  # type: ignore[arg-type] -- as it came

    async def _pass(self, name: str, going: Awaitable[object]) -> object:
        self.left -= 1
        self._under_way += 1
        self.most = max(self.most, self._under_way)
        try:
            if self.left < 0:
                asyncio.ensure_future(going).cancel()
                raise LayerAway("cut by the test")
            answer = await going
            if self.after is not None:
                await self.after(name)
            return answer
        finally:
            self._under_way -= 1


class Ahead:
    """A node's clock, which a test puts forward."""

    def __init__(self, one: Scene) -> None:
        self.seconds = 0.0
        presence_of(one)._lease._clock = lambda: time.monotonic() + self.seconds


def left(server: Server, one: Scene, seconds: float, *others: Scene) -> None:
    """Let leases have so many seconds left, or have run out so long ago."""
    with server.client() as client:
        ends = int((client.time()[0] + seconds) * 1000)
        for other in (one, *others):
            client.zadd(one.layer.keys.leases, {presence_of(other)._node: ends})


def forget(server: Server, prefix: str) -> None:
    """Lose all that was known, as a server does that comes back empty."""
    with server.client() as client:
        client.delete(*client.scan_iter(match=f"{prefix}:*"))


def changes(one: Scene) -> list[tuple[str, bool]]:
    """Return who has come and who has gone."""
    found = [Change.unpack(payload) for _, _, payload in one.delivered]
    return [(change.who, change.info is not None) for change in found]


async def present(one: Scene) -> set[str]:
    return set((await one.layer.occupants(HALL)).who)


async def watching(one: Scene, who: str) -> None:
    await one.layer.attach(TOPIC)
    await one.layer.appear(HALL, who, b"")


def foreign(server: Server, one: Scene, *rooms: RoomName) -> None:
    """Put others' data where it stands who is present."""
    with server.client() as client:
        for room in rooms:
            client.set(one.layer.keys.room(presence_topic(room)).occupants, "others'")


# Some of them in each batch of commands.
MANY = [RoomName(f"room {number}") for number in range(2 * AT_ONCE + 40)]
FOREIGN = MANY[::8]
SOUND = sorted(set(MANY) - set(FOREIGN))


# ── A node ends ──


async def test_node_that_dies_is_swept_once_and_comes_back_if_it_was_only_slow(url: str) -> None:
    """Its lease runs out; whoever finds that takes back all that it said."""
    async with scene(url) as dead, scene(url) as one, scene(url) as two:
        for other in (one, two):
            await watching(other, "witness")
        for who in ("ann", "bob"):
            await dead.layer.appear(HALL, who, b"")
        die(dead)
        for other in (one, two):
            await until(lambda: {("ann", False), ("bob", False)} <= set(changes(other)))  # noqa: B023 -- called at once
        assert await present(one) == {"witness"}
        await presence_of(dead)._renew()
        assert await present(one) == {"witness", "ann", "bob"}
        await one.layer.appear(HALL, "last", b"")
        for other in (one, two):
            await until(lambda: ("last", True) in changes(other))  # noqa: B023 -- called at once

    for other in (one, two):
        assert sorted(who for who, is_here in changes(other) if not is_here) == ["ann", "bob"]


async def test_node_that_stops_lets_its_lease_run_out_so_that_who_comes_back_has_never_gone(url: str) -> None:
    """In a rolling deploy all connections move to other nodes; who does not is gone after the lease."""
    async with scene(url) as one:
        await watching(one, "witness")
        async with scene(url) as stopping:
            await stopping.layer.appear(HALL, "back", b"")
            await stopping.layer.appear(HALL, "away", b"")
        assert await present(one) == {"witness", "back", "away"}
        await one.layer.appear(HALL, "back", b"")
        await until(lambda: ("away", False) in changes(one))
        assert await present(one) == {"witness", "back"}

    assert changes(one)[:4] == [("witness", True), ("back", True), ("away", True), ("away", False)]


async def test_last_node_that_stops_leaves_nobody_behind(url: str) -> None:
    """There is nobody who would see its lease run out, and nobody who would be told."""
    async with scene(url) as one:
        await one.layer.appear(HALL, "ann", b"")
    async with scene(url) as later:
        assert await present(later) == set()


@pytest.mark.parametrize("is_last_alone", [False, True])
async def test_nodes_that_stop_one_after_the_other_leave_nobody_behind(
    url: str, server: Server, is_last_alone: bool
) -> None:
    """One that has stopped sees nobody's lease run out; the last one takes back what all of them have said."""
    timing = Timing(lease_s=60)
    async with scene(url, timing=timing) as last:
        assert await present(last) == set()
        if not is_last_alone:
            await last.layer.appear(HALL, "bob", b"")
        for who in ("ann", "ada"):
            async with scene(url, timing=timing) as one:
                await one.layer.appear(HALL, who, b"")
        assert {"ann", "ada"} <= await present(last)
        keys = last.layer.keys

    with server.client() as client:
        assert client.hkeys(keys.room(TOPIC).occupants) == []
        assert client.zrange(keys.leases, 0, -1) == []


async def test_process_that_waits_for_its_first_connection_takes_over_who_is_present(url: str) -> None:
    """As where all connections move at once to processes that have started before: they come back, and never went."""
    timing = Timing(lease_s=60)
    async with scene(url, timing=timing) as old:
        await old.layer.appear(HALL, "ann", b"")
        async with scene(url, timing=timing) as new:
            await old.layer.stop()
            assert await present(new) == {"ann"}


@pytest.mark.parametrize(("how", "left_behind"), [("new", {"two"}), ("late", {"two"}), ("neither", set())])
async def test_node_that_stops_takes_others_for_dead_only_if_it_would_know(
    url: str, server: Server, how: str, left_behind: set[str]
) -> None:
    """After the server was away or its clock was put forward, the leases of the living have run out as well."""
    timing = Timing(lease_s=60)
    async with scene(url, timing=timing) as one, scene(url, timing=timing) as two:
        clock = Ahead(two)
        assert await present(one) == set()
        await two.layer.appear(HALL, "two", b"")
        if how != "new":
            for _ in range(3):
                clock.seconds += 25
                left(server, one, 35, two)
                await look(two)
        if how == "late":
            clock.seconds += 45
        left(server, one, -1, two)
        await two.layer.stop()
        assert await present(one) == left_behind


async def test_node_that_has_stopped_takes_no_other_lease(url: str, server: Server) -> None:
    """Whoever says or asks something then is refused, and nothing stays behind."""
    async with scene(url) as one:
        await one.layer.appear(HALL, "ann", b"")
        presence = presence_of(one)
        await presence.stop()
        with pytest.raises(LayerAway, match="stopped"):
            await presence.appear(HALL, "bob", b"")
        with server.client() as client:
            assert client.zrange(one.layer.keys.leases, 0, -1) == []


async def test_process_takes_no_lease_where_nobody_uses_presence(url: str, server: Server) -> None:
    """It costs nothing there but one question."""
    async with scene(url), scene(url) as one:
        with server.client() as client:
            assert not client.exists(one.layer.keys.leases)


async def test_process_starts_though_it_can_take_no_lease(url: str, server: Server, prefix: str) -> None:
    """Whoever uses presence is told then."""
    with server.client() as client:
        client.set(Keys(prefix).leases, "others'")
    async with scene(url) as one:
        assert (await one.push()).position.offset == 1
        with pytest.raises(LayerError, match="WRONGTYPE"):
            await present(one)


@pytest.mark.parametrize("name", ["dead.1!", "another"])
async def test_last_node_that_stops_takes_no_dead_name_for_another_node(
    url: str, server: Server, name: str
) -> None:
    """Neither one that was buried before the server's clock was put back, nor the one that it had itself."""
    async with scene(url) as one:
        await one.layer.appear(HALL, "ann", b"")
        die(one)
        keys = one.layer.keys
        with server.client() as client:
            if name == "dead.1!":
                client.zadd(keys.leases, {name: (client.time()[0] + 3600) * 1000})
            else:
                client.zrem(keys.leases, presence_of(one)._node)
                await look(one)
        assert await present(one) == {"ann"}

    with server.client() as client:
        assert client.hkeys(keys.room(TOPIC).occupants) == []
        assert client.zrange(keys.leases, 0, -1) == []


async def test_who_comes_first_after_a_node_that_died_alone_takes_back_what_it_said(
    url: str, server: Server
) -> None:
    """No other node had a lease when it died."""
    async with scene(url) as dead:
        await dead.layer.appear(HALL, "ann", b"")
        die(dead)
        with server.client() as client:
            [(_, ends)] = client.zrange(dead.layer.keys.leases, 0, -1, withscores=True)
            await until(lambda: client.time()[0] > ends / 1000)
        async with scene(url) as later:
            await watching(later, "witness")
            await until(lambda: ("ann", False) in changes(later))
            assert await present(later) == {"witness"}


def bury(server: Server, one: Scene, *nodes: str, room: RoomName = HALL) -> None:
    """Leave nodes that are dead for good, and what they said of a room not taken back yet."""
    keys = one.layer.keys
    with server.client() as client:
        for node in nodes:
            client.sadd(keys.rooms_of(node), room)
            client.zadd(keys.leases, {f"{node}!": 0})


@pytest.mark.parametrize("answered", [0, 1, 2, 3])
async def test_who_asks_does_not_find_those_of_a_buried_node_though_it_was_cut_off(
    url: str, server: Server, answered: int
) -> None:
    """Whoever says or asks something has renewed its lease before, and has taken back what was to be taken back."""
    async with scene(url) as dead, scene(url) as later:
        await dead.layer.appear(HALL, "ann", b"")
        die(dead)
        node = presence_of(dead)._node
        with server.client() as client:
            client.zrem(dead.layer.keys.leases, node)
        bury(server, dead, node)
        tap = Tap(later)
        tap.left = answered
        with pytest.raises(LayerAway):
            await present(later)
        tap.left = float("inf")
        assert await present(later) == set()


async def test_rooms_of_a_dead_node_are_swept_together(url: str, server: Server) -> None:
    """Whoever joins waits for that, so it does not take a round trip for each room."""
    async with scene(url) as later:
        for number in range(40):
            bury(server, later, "dead.1", room=RoomName(f"room {number}"))
        tap = Tap(later)
        assert await present(later) == set()
        with server.client() as client:
            assert not client.exists(later.layer.keys.rooms_of("dead.1"))
    assert tap.most == 40


async def test_room_that_cannot_be_swept_keeps_nobody_else_present(url: str, server: Server) -> None:
    """Others' data under its key is refused, and nothing of it overwritten."""
    room = RoomName("foreign")
    async with scene(url) as dead, scene(url) as later:
        await dead.layer.appear(HALL, "ann", b"")
        die(dead)
        node = presence_of(dead)._node
        foreign(server, later, room)
        with server.client() as client:
            client.zrem(dead.layer.keys.leases, node)
        bury(server, later, "-.1", room=room)
        bury(server, later, node)
        assert await present(later) == set()


async def test_rooms_that_cannot_be_swept_keep_no_other_room_of_their_node_from_that(
    url: str, server: Server
) -> None:
    """However many there are; what is left to do are those rooms alone."""
    async with scene(url) as dead, scene(url) as later:
        await asyncio.gather(*(dead.layer.appear(room, "ann", b"") for room in MANY))
        die(dead)
        node, keys = presence_of(dead)._node, later.layer.keys
        foreign(server, later, *FOREIGN)
        with server.client() as client:
            client.zrem(keys.leases, node)
        bury(server, later, node, room=FOREIGN[0])
        assert await present(later) == set()
        with server.client() as client:
            topics = [keys.room(presence_topic(room)) for room in SOUND]
            assert not any(client.exists(topic.occupants) for topic in topics)
            assert {name.decode() for name in client.smembers(keys.rooms_of(node))} == set(FOREIGN)


async def test_nodes_that_cannot_be_swept_hide_no_other_dead_node(url: str, server: Server) -> None:
    """They were buried before, and are more than one renewal returns."""
    room = RoomName("foreign")
    async with scene(url) as dead, scene(url) as later:
        await dead.layer.appear(HALL, "ann", b"")
        die(dead)
        foreign(server, later, room)
        bury(server, later, *(f"stuck.{number}" for number in range(120)), room=room)
        node = presence_of(dead)._node
        with server.client() as client:
            client.zrem(later.layer.keys.leases, node)
            client.zadd(later.layer.keys.leases, {f"{node}!": 1})
        await present(later)
        await look(later)
        assert await present(later) == set()


async def test_rooms_that_cannot_be_said_again_keep_no_other_room_and_no_dead_node_from_it(
    url: str, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """The node says the rest, sweeps the dead, warns once, and says those rooms once that is possible."""
    async with scene(url) as one, scene(url) as dead:
        await asyncio.gather(*(one.layer.appear(room, "ann", b"") for room in MANY))
        await dead.layer.appear(HALL, "bob", b"")
        die(one)
        die(dead)
        before, node, keys = presence_of(one)._node, presence_of(dead)._node, one.layer.keys
        foreign(server, one, *FOREIGN)
        with server.client() as client:
            client.zrem(keys.leases, before, node)
        bury(server, one, node)
        caplog.set_level(logging.WARNING, "roomful.layer")
        for _ in range(2):
            await look(one)
        assert await present(one) == set()
        assert sum(presence_of(one)._node in line for line in caplog.messages) == 1
        for room in SOUND:
            assert set((await one.layer.occupants(room)).who) == {"ann"}
            await one.layer.disappear(room, "ann")
            assert set((await one.layer.occupants(room)).who) == set()
        with server.client() as client:
            client.delete(*(keys.room(presence_topic(room)).occupants for room in FOREIGN))
        await look(one)
        for room in FOREIGN:
            assert set((await one.layer.occupants(room)).who) == {"ann"}
        with server.client() as client:
            assert not client.exists(keys.rooms_of(before))


async def test_node_says_nothing_under_a_name_that_is_buried(url: str, server: Server) -> None:
    """Its first lease may have run out before it knew of it; what it said would be taken back."""
    async with scene(url) as one:
        before = presence_of(one)._node
        bury(server, one, before)
        await one.layer.appear(HALL, "ann", b"")
        assert presence_of(one)._node != before
        assert await present(one) == {"ann"}


async def test_node_that_was_buried_while_it_was_slow_says_all_again_under_another_name(url: str) -> None:
    """What it says then is not taken back by whoever still sweeps what it said before."""
    async with scene(url) as slow, scene(url) as one:
        await watching(one, "witness")
        await slow.layer.appear(HALL, "ann", b"")
        die(slow)
        presence, other = presence_of(slow), presence_of(one)
        before = presence._node
        await until(lambda: ("ann", False) in changes(one))
        await presence._renew()
        assert presence._node != before
        await other._sweep(before)
        assert await present(one) == {"witness", "ann"}


async def test_what_was_said_after_the_burial_leaves_nobody_behind(url: str, server: Server) -> None:
    """The others take back what was said under the name before, look at it no more, and may delete its list last."""
    async with scene(url) as slow, scene(url) as one:
        await watching(one, "witness")
        await slow.layer.appear(HALL, "ann", b"")
        die(slow)
        await until(lambda: ("ann", False) in changes(one))
        await slow.layer.appear(HALL, "cay", b"")
        with server.client() as client:
            client.delete(one.layer.keys.rooms_of(presence_of(slow)._node))
        await look(slow)
        assert await present(one) == {"witness", "ann", "cay"}
        await slow.layer.disappear(HALL, "cay")
        assert await present(one) == {"witness", "ann"}


@pytest.mark.parametrize("answered", [1, 2, 3, 4])
async def test_what_is_said_again_is_said_whole_though_the_server_goes_away_meanwhile(
    url: str, server: Server, prefix: str, answered: int
) -> None:
    """After so many answers; the next renewal says all of it."""
    async with scene(url) as one:
        for who in ("ann", "bob"):
            await one.layer.appear(HALL, who, b"")
        die(one)
        forget(server, prefix)
        tap = Tap(one)
        tap.left = answered
        with pytest.raises(LayerAway):
            await look(one)
        tap.left = float("inf")
        await look(one)
        assert await present(one) == {"ann", "bob"}


async def test_who_goes_while_all_is_said_again_is_not_said_again(
    url: str, server: Server, prefix: str
) -> None:
    """Nor is anything that was changed meanwhile said as it was before."""
    async with scene(url) as one:
        for who in ("ann", "bob"):
            await one.layer.appear(HALL, who, b"before")
        die(one)
        forget(server, prefix)
        tap = Tap(one)

        async def go(name: str) -> None:
            if name == "SADD":
                tap.after = None
                await one.layer.disappear(HALL, "ann")
                await one.layer.appear(HALL, "bob", b"after")

        tap.after = go
        await look(one)
        assert (await one.layer.occupants(HALL)).who == {"bob": b"after"}


async def test_leave_that_could_not_be_said_is_said_when_it_is_asked_for_again(url: str) -> None:
    """The hub asks until it is told; meanwhile the lease is renewed, so nobody else takes back what was said."""
    async with scene(url) as one:
        for who in ("ann", "bob"):
            await one.layer.appear(HALL, who, b"")
        tap = Tap(one)
        tap.left = 0
        with pytest.raises(LayerAway):
            await one.layer.disappear(HALL, "ann")
        tap.left = float("inf")
        await one.layer.disappear(HALL, "ann")
        assert await present(one) == {"bob"}


# ── What takes long, or goes wrong ──


@pytest.mark.parametrize("what", ["appear", "sweep"])
async def test_node_keeps_its_lease_while_it_is_at_something_that_takes_longer(
    url: str, server: Server, what: str
) -> None:
    """Else the others took it for dead, and it said all again, as slowly, for ever."""
    lease_s = 0.6
    timing = Timing(lease_s=lease_s)
    async with scene(url, timing=timing) as one, scene(url, timing=timing) as slow:
        await watching(one, "witness")
        await slow.layer.appear(HALL, "ann", b"")
        die(slow)
        before, leases = presence_of(slow)._lease._life, one.layer.keys.leases
        bury(server, one, "dead.1")
        if what == "appear":
            with server.client() as client:
                client.zrem(leases, presence_of(slow)._node)
        tap = Tap(slow)

        async def take_long(name: str) -> None:
            if name == what:
                tap.after = None
                node = presence_of(slow)._node
                with server.client() as client:
                    first = client.zscore(leases, node)
                    await until(
                        lambda: (client.zscore(leases, node) or 0) > first + 1000 * lease_s, timeout_s=3
                    )

        tap.after = take_long
        await look(slow)
        assert tap.after is None
        await look(slow)
        assert presence_of(slow)._lease._life == before + (what == "appear")
        assert await present(one) == {"witness", "ann"}
        assert changes(one) == [("witness", True), ("ann", True)]


async def test_members_of_one_room_are_said_again_together(url: str, server: Server, prefix: str) -> None:
    """It does not take a round trip for each, nor as many commands at one time as there are members."""
    timing = Timing(lease_s=60)
    async with scene(url, timing=timing) as one:
        members = {f"member {number}" for number in range(AT_ONCE + 40)}
        await asyncio.gather(*(one.layer.appear(HALL, who, b"") for who in members))
        forget(server, prefix)
        tap = Tap(one)
        await look(one)
        assert await present(one) == members
    assert tap.most == AT_ONCE


async def test_names_that_are_no_text_end_nothing(url: str, server: Server) -> None:
    """Anybody may write to the server; such a node is taken back like any other."""
    async with scene(url, timing=Timing(lease_s=60)) as one:
        clock = Ahead(one)
        await one.layer.appear(HALL, "ann", b"")
        leases = one.layer.keys.leases
        rooms = one.layer.keys.rooms_of("").encode()
        with server.client() as client:
            for node in (b"\xff", b"\xfe"):
                client.sadd(rooms + node, HALL, b"\xfd")
            client.zadd(leases, {b"\xff": 0, b"\xfe!": 0})
            for _ in range(3):
                clock.seconds += 25
                left(server, one, 35)
                await look(one)
            assert client.zrange(leases, 0, -1) == [presence_of(one)._node.encode()]
            assert not client.exists(rooms + b"\xff", rooms + b"\xfe")
        assert await present(one) == {"ann"}


async def test_node_goes_on_whatever_goes_wrong(url: str, caplog: pytest.LogCaptureFixture) -> None:
    """What nobody has thought of is logged, and the next renewal comes all the same."""
    async with scene(url) as one:
        await one.layer.appear(HALL, "ann", b"")
        tap = Tap(one)
        renewals = 0

        async def fail_once(name: str) -> None:
            nonlocal renewals
            renewals += name == "renew"
            if renewals == 1:
                raise ValueError("unthought of")

        tap.after = fail_once
        await until(lambda: renewals > 1)
        assert await present(one) == {"ann"}
    assert [record.levelname for record in caplog.records if "cannot renew" in record.message] == ["ERROR"]


async def test_process_starts_whatever_goes_wrong(
    url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As far as its lease is concerned: rooms need none."""

    async def fail(_presence: NodePresence) -> None:
        raise ValueError("unthought of")

    async with scene(url) as other:
        await other.layer.appear(HALL, "ann", b"")
        with monkeypatch.context() as patched:
            patched.setattr(NodePresence, "_look", fail)
            one = Scene(url)
            await one.start()
        try:
            assert await present(one) == {"ann"}
        finally:
            await one.layer.stop()
    assert [record.levelname for record in caplog.records if "has no lease yet" in record.message] == [
        "ERROR"
    ]


# ── The server is away ──


@pytest.mark.parametrize(
    ("how", "away_s"),
    [("it is gone", 100), ("it is gone", 45), ("it refuses", 100), ("it answers late", 45)],
)
async def test_node_that_could_not_renew_its_lease_kills_nobody_before_the_others_could(
    url: str, server: Server, how: str, away_s: int
) -> None:
    """To it all leases have run out; it is new again, and finds the dead a lease later."""
    async with scene(url, timing=Timing(lease_s=60)) as one, scene(url, timing=Timing(lease_s=60)) as two:
        clock = Ahead(one)
        await watching(one, "one")
        await watching(two, "two")
        die(one)
        die(two)
        for _ in range(3):  # it is no newcomer any more
            clock.seconds += 25
            left(server, one, 35, two)
            await look(one)
        tap = Tap(one)
        gone_before_s = away_s
        if how == "it is gone":
            tap.left = 0
            with pytest.raises(LayerAway):
                await look(one)
            tap.left = float("inf")
        elif how == "it refuses":
            with server.client() as client:
                client.config_set("maxmemory", 1)
                try:
                    with pytest.raises(LayerError, match="OOM"):
                        await look(one)
                finally:
                    client.config_set("maxmemory", 0)
        else:
            # It renews the lease in time, and again because the answer was lost; that one comes late.
            gone_before_s = 25

            async def pass_time(_name: str) -> None:
                clock.seconds += away_s

            tap.after = pass_time
        clock.seconds += gone_before_s
        left(server, one, 60 - away_s)
        left(server, two, 40 - away_s)
        await look(one)
        tap.after = None
        assert await present(one) == {"one", "two"}
        left(server, two, -1)
        for _ in range(4):
            clock.seconds += 25
            left(server, one, 35)
            await look(one)
        assert await present(one) == {"one"}


# ── The server's clock ──


class MovableClock:
    """The wall clock of a server in a process of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.put(0)

    def put(self, seconds: int) -> None:
        """Put it forward or back, from what it is in truth."""
        with self._path.open("r+b" if self._path.exists() else "wb") as file:
            file.write(struct.pack("q", seconds))


@pytest.fixture(scope="module")
def preloaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs a C compiler and Linux to move a server's clock")
    library = tmp_path_factory.mktemp("clock") / "clock.so"
    source = Path(__file__).with_name("clock.c")
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", library, source], check=True)
    return library


@pytest.fixture
def jumping(preloaded: Path, tmp_path: Path) -> Iterator[tuple[Server, MovableClock]]:
    """A server, and its clock."""
    clock = MovableClock(tmp_path / "ahead")
    server = make_server()
    server.environment = {"LD_PRELOAD": str(preloaded), "ROOMFUL_TEST_CLOCK": str(tmp_path / "ahead")}
    with server:
        clock.put(500)
        with server.client() as client:
            if client.time()[0] < time.time() + 400:
                pytest.skip("this server takes its time from elsewhere")
        clock.put(0)
        yield server, clock


@pytest.mark.parametrize("jump_s", [3600, -3600])
async def test_clock_that_jumps_kills_no_node_and_keeps_no_dead_one(
    jumping: tuple[Server, MovableClock], jump_s: int
) -> None:
    """Leases run out by the server's clock, which may be put forward or back; a node's own time knows better."""
    server, clock = jumping
    async with scene(server.url) as dead, scene(server.url) as one, scene(server.url) as two:
        await watching(one, "one")
        await watching(two, "two")
        await dead.layer.appear(HALL, "dead", b"")
        await until(lambda: len(changes(one)) == 3)
        clock.put(jump_s)
        for _ in range(2):
            for living in (one, two):
                await look(living)
        assert await present(one) == {"one", "two", "dead"}
        die(dead)
        await until(lambda: ("dead", False) in changes(one))
        assert await present(two) == {"one", "two"}

    assert changes(one)[:4] == [("one", True), ("two", True), ("dead", True), ("dead", False)]


@pytest.mark.parametrize("waited_s", [0, 60])
async def test_node_that_comes_after_the_clock_has_jumped_kills_nobody(
    jumping: tuple[Server, MovableClock], waited_s: int
) -> None:
    """To it all leases have run out, however long ago it has started; those who live renew theirs and know better."""
    server, clock = jumping
    timing = Timing(lease_s=6)
    async with scene(server.url, timing=timing) as one, scene(server.url, timing=timing) as later:
        Ahead(later).seconds = waited_s
        await watching(one, "one")
        clock.put(3600)
        assert await present(later) == {"one"}
        await look(later)
        await look(one)
        await look(later)
        assert await present(later) == {"one"}
        await later.layer.appear(HALL, "last", b"")
        await until(lambda: ("last", True) in changes(one))
        assert changes(one) == [("one", True), ("last", True)]


async def test_server_that_stood_still_kills_no_node(url: str, server: Server) -> None:
    """Nobody could renew a lease in that time, so nobody counts as dead because of it."""
    async with scene(url) as one, scene(url) as two:
        await watching(one, "one")
        await watching(two, "two")
        die(one)
        die(two)
        with server.client() as client:
            client.client_pause(900, all=True)
        await look(one)
        await look(two)
        assert await present(one) == {"one", "two"}
        await one.layer.appear(HALL, "last", b"")
        await until(lambda: ("last", True) in changes(one))
        assert changes(one) == [("one", True), ("two", True), ("last", True)]


async def test_room_goes_on_in_order_when_the_clock_jumps(jumping: tuple[Server, MovableClock]) -> None:
    """Put forward, keys expire and the room begins an epoch, of which its members are told; put back, nothing does."""
    server, clock = jumping
    room = RoomName("room")
    async with scene(server.url) as one:
        await one.layer.attach(room)
        first = await one.push(b"first")
        clock.put(-3600)
        second = await one.push(b"second")
        clock.put(7200)
        third = await one.push(b"third")
        await until(lambda: len(one.delivered) == 3)

    assert second.position.offset == first.position.offset + 1
    assert second.position.epoch == first.position.epoch
    assert third.position.epoch != first.position.epoch
    assert one.payloads == [b"first", b"second", b"third"]
    assert one.suspected[-1:] == [room]
