"""One short round of real servers: the harness, the carriers and the checks, from end to end."""

import os
import sys

import pytest

from bench.cases import Load
from bench.load.echo import Echo
from bench.load.fanout import Fanout
from bench.load.idle import Idle
from bench.load.pump import PumpCarrier
from bench.load.rooms import Rooms
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
