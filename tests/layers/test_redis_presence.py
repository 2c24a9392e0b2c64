"""Presence over nodes: a lease for each, which ends, is renewed, and does not mind what the server's clock says."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from roomful.core.capabilities import Change
from roomful.core.names import RoomName, presence_topic

from .scenes import Scene, make_server, scene, until
from .servers import Server

HALL = RoomName("hall")
TOPIC = presence_topic(HALL)


@pytest.fixture
def url(server: Server, prefix: str) -> str:
    return f"{server.url}?prefix={prefix}"


def die(one: Scene) -> None:
    """Give no more sign of life, as after SIGKILL."""
    presence = one.layer._presence
    assert presence is not None
    assert presence._renewing is not None
    presence._renewing.cancel()


def changes(one: Scene) -> list[tuple[str, bool]]:
    """Return who has come and who has gone."""
    found = [Change.unpack(payload) for _, _, payload in one.delivered]
    return [(change.who, change.info is not None) for change in found]


async def present(one: Scene) -> set[str]:
    return set((await one.layer.occupants(HALL)).who)


async def watching(one: Scene, who: str) -> None:
    await one.layer.attach(TOPIC)
    await one.layer.appear(HALL, who, b"")


# ── A node ends ──


async def test_node_that_dies_is_swept_once_and_comes_back_if_it_was_only_slow(url: str) -> None:
    """Its lease runs out; whoever finds that takes back all that it said."""
    async with scene(url) as dead, scene(url) as one, scene(url) as two:
        for other in (one, two):
            await watching(other, "witness")
        for who in ("ann", "bob"):
            await dead.layer.appear(HALL, who, b"")
        die(dead)
        presence = dead.layer._presence
        assert presence is not None
        for other in (one, two):
            await until(lambda: {("ann", False), ("bob", False)} <= set(changes(other)))  # noqa: B023 -- called at once
        assert await present(one) == {"witness"}
        await presence._renew()
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


async def test_who_asks_does_not_find_those_of_a_node_that_died_alone(url: str, server: Server) -> None:
    """No other node had a lease when it died."""
    async with scene(url) as dead:
        await dead.layer.appear(HALL, "ann", b"")
        die(dead)
        with server.client() as client:
            [(_, ends)] = client.zrange(dead.layer.keys.leases, 0, -1, withscores=True)
            await until(lambda: client.time()[0] > ends / 1000)
        async with scene(url) as later:
            assert await present(later) == set()


async def test_node_that_was_buried_while_it_was_slow_says_all_again_under_another_name(url: str) -> None:
    """What it says then is not taken back by whoever still sweeps what it said before."""
    async with scene(url) as slow, scene(url) as one:
        await watching(one, "witness")
        await slow.layer.appear(HALL, "ann", b"")
        die(slow)
        presence, other = slow.layer._presence, one.layer._presence
        assert presence is not None
        assert other is not None
        before = presence._node
        await until(lambda: ("ann", False) in changes(one))
        await presence._renew()
        assert presence._node != before
        await other._sweep(before)
        assert await present(one) == {"witness", "ann"}


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
                presence = living.layer._presence
                assert presence is not None
                await presence._sweep_dead(await presence._renew())
        assert await present(one) == {"one", "two", "dead"}
        die(dead)
        await until(lambda: ("dead", False) in changes(one))
        assert await present(two) == {"one", "two"}

    assert changes(one)[:4] == [("one", True), ("two", True), ("dead", True), ("dead", False)]


async def test_server_that_stood_still_kills_no_node(url: str, server: Server) -> None:
    """Nobody could renew a lease in that time, so nobody counts as dead because of it."""
    async with scene(url) as one, scene(url) as two:
        await watching(one, "one")
        await watching(two, "two")
        die(one)
        die(two)
        with server.client() as client:
            client.client_pause(900, all=True)
        first, second = one.layer._presence, two.layer._presence
        assert first is not None
        assert second is not None
        await first._sweep_dead(await first._renew())
        await second._sweep_dead(await second._renew())
        assert await present(one) == {"one", "two"}

    assert all(is_here for _, is_here in changes(one))


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
