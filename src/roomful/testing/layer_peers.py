"""Checks of what two processes see of each other, each with a layer. Each one's docstring is the guarantee."""

from __future__ import annotations

import asyncio

from ..core.capabilities import Change
from ..core.names import presence_topic
from ..core.policies import Retention
from .layer_bench import ROOM, Bench, expect

__all__ = (
    "carries_events_to_the_other_process",
    "counts_somebody_once_over_processes",
    "numbers_for_both_processes",
    "shares_history_and_keys",
    "shares_values",
)

_KEEP = Retention(events=100, max_bytes=1_000_000, ttl_s=60.0)
_LONG_S = 60.0


async def carries_events_to_the_other_process(bench: Bench) -> None:
    """What one process pushes is delivered in the other, unchanged and at the position of the receipt."""
    peer = await bench.peer()
    await peer.layer.attach(ROOM)
    receipts = [await bench.publish(payload) for payload in (b"1", b"", bytes(300_000))]
    got = await peer.arrived(3)
    expect([event.payload for event in got] == [b"1", b"", bytes(300_000)], "the payloads are others")
    expect([event.at for event in got] == [receipt.position for receipt in receipts], "positions differ")


async def numbers_for_both_processes(bench: Bench) -> None:
    """When both push at once, both see one order, and each push keeps its place among those of its process."""
    peer = await bench.peer()
    for one in (bench, peer):
        await one.layer.attach(ROOM)
    pushes = [
        one.publish(f"{name} {n}".encode()) for n in range(50) for name, one in (("a", bench), ("b", peer))
    ]
    await asyncio.gather(*pushes)
    heard = [[(event.at, event.payload) for event in await one.arrived(100)] for one in (bench, peer)]
    expect(heard[0] == heard[1], "the two processes see another order")
    offsets = [at.offset for at, _ in heard[0]]
    expect(offsets == list(range(offsets[0], offsets[0] + 100)), f"offsets are {offsets}")
    for name in (b"a", b"b"):
        own = [payload for _, payload in heard[0] if payload.startswith(name)]
        expect(own == [name + b" %d" % n for n in range(50)], f"pushes of one process changed places: {own}")


async def shares_history_and_keys(bench: Bench) -> None:
    """What one process has kept the other can read, and a key that one has used is used for the other."""
    peer = await bench.peer()
    start = await peer.layer.attach(ROOM)
    first = await bench.publish(b"1", key="k", keep=_KEEP)
    again = await peer.publish(b"1", key="k", keep=_KEEP)
    expect(again.duplicate, "the second push is not called a duplicate")
    expect(again.position == first.position, f"its position is {again.position}; expected {first.position}")
    await peer.publish(b"2", keep=_KEEP)
    page = await bench.layer.history(ROOM, start, 10)
    expect([payload for _, payload in page.entries] == [b"1", b"2"], f"the history has {page.entries}")
    expect(page.complete, "the page is not complete")


async def shares_values(bench: Bench) -> None:
    """A value that one process has put the other can take, and of both one gets it."""
    peer = await bench.peer()
    here, there = bench.keyed_state(), peer.keyed_state()
    expect(await here.put_once("k", b"v", ttl_s=_LONG_S), "the value was not stored")
    expect(not await there.put_once("k", b"w", ttl_s=_LONG_S), "the key has had two values")
    taken = await asyncio.gather(here.take_once("k"), there.take_once("k"))
    expect(sorted(taken, key=bool) == [None, b"v"], f"the processes got {taken}")


async def counts_somebody_once_over_processes(bench: Bench) -> None:
    """Somebody who is present through both processes comes once, and goes when the last of them has said so."""
    peer = await bench.peer()
    here, there = bench.presence(), peer.presence()
    await peer.layer.attach(presence_topic(ROOM))
    await here.appear(ROOM, "ann", b"1")
    await there.appear(ROOM, "ann", b"1")
    await here.disappear(ROOM, "ann")
    expect((await here.occupants(ROOM)).who == {"ann": b"1"}, "somebody is gone who is present in the other")
    await there.disappear(ROOM, "ann")
    last = await here.occupants(ROOM)
    expect(last.who == {}, f"present are {last.who}")
    got = await peer.arrived_at(last.at, presence_topic(ROOM))
    changes = [Change.unpack(event.payload) for event in got]
    expect(changes == [Change("ann", b"1"), Change("ann", None)], f"changes are {changes}")
