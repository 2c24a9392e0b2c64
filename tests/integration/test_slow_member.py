"""Fifty members of whom one never reads: the others get everything, and the slow one is let go."""

import asyncio
import json
from typing import Any

import pytest

from roomful.core.ledger import Ledger
from roomful.core.positions import Position

from .process import ServerProcess
from .raw import RawClient
from .served import body
from .transports import PROCESSES

COUNT = 2000
SIZE = 4096

HEAD, MIDDLE, TAIL = b'{"type":"post","data":"', b'","room":"room","pos":"', b'"}'


async def enter(port: int, **how: Any) -> tuple[RawClient, Position]:
    """Connect a member; return it with the position at which it joined."""
    client = await RawClient.connect(port, "/member", **how)
    return client, Position.parse(json.loads(await client.receive())["pos"])


class Reader:
    """A healthy member: it reads what comes and records it, in about a third of the time that JSON would take."""

    def __init__(self, name: int, client: RawClient, ledger: Ledger) -> None:
        self.client = client
        self._name = name
        self._ledger = ledger

    async def read(self, count: int) -> None:
        """Read so many pushes. An intact one has its number, plus one, as its digest."""
        for _ in range(count):
            message = await self.client.receive()
            data, _, rest = message.removeprefix(HEAD).partition(MIDDLE)
            number = int(data[: data.index(b":")])
            at = Position.parse(rest.removesuffix(TAIL).decode())
            is_intact = data == body(number, SIZE).encode()
            self._ledger.arrived(self._name, at.epoch, at.offset, number + 1 if is_intact else 0)


async def run(name: str, loop: str, *, members: int, burst: int) -> None:
    """Push in bursts, each when the one before has been read; see what becomes of everybody."""
    ledger = Ledger()
    async with ServerProcess(name, loop) as server:
        empty = await server.facts()
        readers = []
        for member in range(members - 1):
            client, at = await enter(server.port)
            ledger.expect(member, at.epoch, after=at.offset)
            readers.append(Reader(member, client, ledger))
        without_slow = await server.facts(connections=members - 1)
        slow, at = await enter(server.port, receive_buffer=64 * 1024)
        ledger.expect("slow", at.epoch, after=at.offset)
        slow.stop_reading()

        for _ in range(COUNT // burst):
            pushing = asyncio.create_task(server.ask(f"/push?count={burst}&size={SIZE}"))
            await asyncio.gather(*(reader.read(burst) for reader in readers))
            pushed = await pushing
            for number, offset in enumerate(pushed["offsets"]):
                ledger.pushed(pushed["epoch"], offset, number + 1)

        # The slow one has left, its task has ended, and it is counted once; the healthy ones are as before.
        await server.facts(
            connections=members - 1,
            memberships=members - 1,
            ending=0,
            paused=0,
            let_go={"slow": 1},
            tasks=without_slow["tasks"],
            objects=without_slow["objects"],
        )
        ledger.ended("slow")
        slow.reset()
        for reader in readers:
            reader.client.close()
        await asyncio.gather(*(reader.client.closed() for reader in readers))
        await server.facts(connections=0, tasks=empty["tasks"], timers=empty["timers"], objects=0)

    judgement = ledger.judge()
    judgement.assert_clean(at_least=(members - 1) * COUNT)
    assert all(judgement.receivers[member] == judgement.receivers[0] for member in range(members - 1))


# The plain path is the same under both of uvicorn's own classes.
QUICKLY = [
    pytest.param(*process, marks=pytest.mark.slow) if "wsproto" in process else process
    for process in PROCESSES
]


@pytest.mark.parametrize(("name", "loop"), QUICKLY)
async def test_member_that_never_reads_costs_the_others_nothing(name: str, loop: str) -> None:
    """2,000 pushes of 4 KB: 49 members get all of them in order; one is let go, is counted, and has ended."""
    await run(name, loop, members=50, burst=100)


# Our own server pushes faster than clients in Python can read, so that all of them would be slow.
@pytest.mark.parametrize(("name", "loop"), [process for process in PROCESSES if "roomful" not in process])
async def test_plain_loop_of_pushes_reaches_members_that_keep_up(name: str, loop: str) -> None:
    """`for …: await hub.push(…)` needs no pause in it where the members read as fast as the server writes."""
    await run(name, loop, members=10, burst=COUNT)
