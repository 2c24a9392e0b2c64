"""Connections that come and go in waves, a third of them rudely, leave nothing behind."""

import asyncio
import json
import resource

import pytest

from .process import ServerProcess
from .raw import RawClient
from .transports import PROCESSES

COUNT = 2000
SOME = 500
"""Enough for every run; the long one has them all, where the code is not the same."""
FULL = (("sansio", "asyncio"), ("roomful", "asyncio"))
AT_ONCE = 250
"""Connections that are opened at the same time, so that no queue of the kernel overflows."""


@pytest.fixture(autouse=True)
def many_descriptors() -> None:
    """Each connection takes one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most < COUNT + 200:
        pytest.skip(f"the limit of open files is {most}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def visit(port: int, number: int) -> RawClient:
    """Connect and say something; every ninth connection does not even wait for the handshake."""
    if number % 9 == 6:
        return await RawClient.connect(port, f"/visit/room-{number % 50}", wait=False)
    client = await RawClient.connect(port, f"/visit/room-{number % 50}")
    client.send(json.dumps({"type": "hi", "data": f"I am {number}", "id": number}))
    while f'"reply":{number},'.encode() not in await client.receive():
        pass
    return client


async def leave(client: RawClient, number: int) -> None:
    """Go: two thirds with a close frame, the rest as networks and programs fail."""
    match number % 9:
        case 0:
            client.reset()
        case 3:
            client.send('{"type":"stick"}')
            client.half_a_frame()
            client.hang_up()
        case 6:
            client.reset()
        case 1:
            # Its handler is still busy when it closes.
            client.send('{"type":"stick"}')
            client.close()
        case _:
            client.close()
    await client.closed()


async def wave(port: int, count: int) -> None:
    """Let all come, be there together, and go."""
    clients: list[RawClient] = []
    for start in range(0, count, AT_ONCE):
        numbers = range(start, start + AT_ONCE)
        clients += await asyncio.gather(*(visit(port, number) for number in numbers))
    await asyncio.gather(*(leave(client, number) for number, client in enumerate(clients)))


@pytest.mark.parametrize(
    ("name", "loop", "count"),
    [
        *((*process, SOME) for process in PROCESSES),
        *(pytest.param(*process, COUNT, marks=pytest.mark.slow) for process in FULL),
    ],
)
async def test_waves_leave_nothing_behind(name: str, loop: str, count: int) -> None:
    """No task, timer, room, object or descriptor is left, and the second wave needs no more memory than the first."""
    async with ServerProcess(name, loop) as server:
        before = await server.facts(connections=0)
        peaks = []
        for _ in range(2):
            server.forget_peak()
            await wave(server.port, count)
            peaks.append(server.peak_kb())
            now = await server.facts(
                connections=0,
                ending=0,
                rooms=0,
                memberships=0,
                stuck_handlers=0,
                objects=0,
                tasks=before["tasks"],
                timers=before["timers"],
                descriptors=before["descriptors"],
            )
            assert now["let_go"] == {}

    assert peaks[1] <= peaks[0] * 1.1, f"peaks of {peaks} kB"
