"""One short round of real servers: the harness, the carriers and the checks, from end to end."""

import os
import sys

import pytest

from bench.cases import Load
from bench.load.echo import Echo
from bench.load.fanout import Fanout
from bench.load.idle import Idle
from bench.load.latency import Latency
from bench.load.nodes import Nodes
from bench.load.pump import PumpCarrier
from bench.load.rooms import Rooms
from bench.pair import Pair
from bench.process import Server
from bench.rows import FOLDER, row_named

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="measures by /proc")]

LOADS = {
    "fanout": Fanout(members=5, under_way=3),
    "reply": Fanout(members=5, under_way=3, reply=True),
    "rooms": Rooms(rooms=10, members=20, each=5, under_way=3),
    "echo": Echo(connections=3, under_way=2),
    "event": Echo(connections=3, under_way=2, is_event=True),
}


async def one_round(row: str, load: Load) -> None:
    command = row_named(row).start_command(sys.executable, load.program)
    assert command is not None
    server = Server(command, core=min(os.sched_getaffinity(0)), folder=FOLDER)
    try:
        await server.start()
        sample = await load.run(server, seconds=0.05)
    finally:
        server.stop()
    assert (sample.faults, sample.figures["messages"] > 0) == ({}, True), (sample, server.errors())


@pytest.mark.parametrize("name", LOADS)
@pytest.mark.parametrize("in_c", [True, False])
async def test_a_round_finds_nothing_wrong(name: str, in_c: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both carriers see every message of a good server, once and in order."""
    if in_c and not PumpCarrier.is_there():
        pytest.skip("no C compiler")
    if not in_c:
        monkeypatch.setattr(PumpCarrier, "is_there", staticmethod(lambda: False))
    await one_round("roomful", LOADS[name])


@pytest.mark.parametrize(
    ("row", "load"),
    [
        ("nodes-roomful", Nodes(members=6, under_way=2)),
        ("nodes-roomful", Latency(members=6, rate=600.0, nodes=2)),
        ("nodes-channels-pubsub", Nodes(members=6, under_way=2)),
        ("nodes-socketio", Nodes(members=6, under_way=2)),
    ],
)
async def test_a_round_over_two_nodes_finds_nothing_wrong(row: str, load: Nodes | Latency) -> None:
    """Half of the members are on each; the CPU time of both nodes and of Redis is told apart."""
    if (missing := row_named(row).missing(sys.executable)) is not None:
        pytest.skip(missing)
    command = row_named(row).start_command(sys.executable, load.program)
    assert command is not None
    core = min(os.sched_getaffinity(0))
    pair = Pair(command, core=core, folder=FOLDER, dialect=row_named(row).dialect)
    try:
        await pair.start()
        sample = await load.run(pair, seconds=0.05)
    finally:
        pair.stop()
    sample.faults.pop("the load was late", None)  # as it may be on a machine that runs tests
    assert (sample.faults, sample.figures["messages"] > 0) == ({}, True), (sample, pair.errors())


async def test_idle_connections_have_a_price() -> None:
    """Memory, a collection and a handshake, for each connection."""
    command = row_named("roomful").start_command(sys.executable, Idle(30).program)
    assert command is not None
    server = Server(command, core=min(os.sched_getaffinity(0)), folder=FOLDER)
    try:
        await server.start()
        sample = await Idle(30).run(server, seconds=0.0)
    finally:
        server.stop()
    assert sample.faults == {}
    assert set(sample.figures) == {"own", "resident", "collection_s", "objects", "connect_s"}
