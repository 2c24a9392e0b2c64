"""Checks of what a layer keeps when it is asked to. Each one's docstring is the guarantee that it holds."""

from __future__ import annotations

import asyncio

from ..core.names import RoomName
from ..core.policies import Retention
from ..core.positions import Position
from .layer_bench import ROOM, Bench, expect

__all__ = (
    "answers_any_position",
    "keeps_what_it_was_asked_to_keep",
    "leads_on_through_a_restart",
    "reads_page_by_page",
    "takes_an_attach_that_is_cancelled",
)

_KEEP = Retention(events=20, max_bytes=1_000_000, ttl_s=60.0)
_PAGE = 3
_MOST_PAGES = 10


async def keeps_what_it_was_asked_to_keep(bench: Bench) -> None:
    """Events that were pushed with a retention are in the history, complete, as long as they fit it."""
    start = await bench.layer.attach(ROOM)
    events = [((await bench.publish(bytes([n]) * n, keep=_KEEP)).position, bytes([n]) * n) for n in range(30)]
    for after in (events[-21][0], events[-2][0]):
        page = await bench.layer.history(ROOM, after, 100)
        expect(
            page.complete, f"the page after {after} is not complete, of {_KEEP.events} events that are kept"
        )
        owed = [event for event in events if event[0].offset > after.offset]
        expect(list(page.entries) == owed, f"the page after {after} has {page.entries}; expected {owed}")
    page = await bench.layer.history(ROOM, start, 100)
    expect(
        not page.complete or len(page.entries) == len(events),
        "a page is called complete and events are missing",
    )
    expect(list(page.entries) == events[-len(page.entries) :], f"a page has a hole: {page.entries}")


async def reads_page_by_page(bench: Bench) -> None:
    """Pages that are read one after the other, each after the last event of the one before, are the whole history."""
    after = await bench.layer.attach(ROOM)
    for number in range(10):
        await bench.publish(str(number).encode(), keep=_KEEP)
    payloads: list[bytes] = []
    for _ in range(_MOST_PAGES):
        page = await bench.layer.history(ROOM, after, _PAGE)
        expect(page.complete, f"the page after {after} is not complete")
        if not page.entries:
            break
        payloads += [payload for _, payload in page.entries]
        after = page.entries[-1][0]
    expect(payloads == [str(n).encode() for n in range(10)], f"the pages have {payloads}")


async def answers_any_position(bench: Bench) -> None:
    """Whatever a client says that it has, the answer is a page that is not complete, and the room goes on."""
    top = await bench.layer.attach(ROOM)
    await bench.publish(b"1", keep=_KEEP)
    for after in (
        Position("", 0),
        Position("x" * 32, 10**18),
        Position(top.epoch, 10**18),
        Position("local-0", 1),
        Position("0", 1),
    ):
        page = await bench.layer.history(ROOM, after, 10)
        expect(not page.complete, f"the page after {after} is complete")
        expect(not page.entries, f"the page after {after} has {page.entries}")
    unknown = await bench.layer.history(RoomName("nobody was here"), top, 10)
    expect(not unknown.entries, f"a room that nobody has used has {unknown.entries}")
    last = await bench.publish(b"2", keep=_KEEP)
    await bench.arrived_at(last.position)


async def takes_an_attach_that_is_cancelled(bench: Bench) -> None:
    """A room whose attach is cancelled can be attached again, and comes once."""
    attaching = asyncio.ensure_future(bench.layer.attach(ROOM))
    await asyncio.sleep(0)
    attaching.cancel()
    await asyncio.wait((attaching,))
    await bench.layer.attach(ROOM)
    await bench.publish(b"1")
    last = await bench.publish(b"2")
    got = await bench.arrived_at(last.position)
    expect([event.payload for event in got] == [b"1", b"2"], f"deliveries are {got}")


async def leads_on_through_a_restart(bench: Bench) -> None:
    """When what the layers meet in begins anew and has lost nothing, offsets go on, and old positions lead on."""
    restart = bench.restart
    start = await bench.layer.attach(ROOM)
    for number in range(3):
        await bench.publish(str(number).encode(), keep=_KEEP)
    before = await bench.arrived(3)
    at = before[-1].at
    await restart()
    receipt = await bench.publish_until_taken(b"3", keep=_KEEP)
    expect(receipt.position.offset == at.offset + 1, f"after {at} comes {receipt.position}")
    for after, expected in ((start, [b"0", b"1", b"2", b"3"]), (at, [b"3"]), (receipt.position, [])):
        page = await bench.layer.history(ROOM, after, 10)
        expect(page.complete, f"the page after {after} is not complete")
        expect(
            [payload for _, payload in page.entries] == expected, f"the page after {after} has {page.entries}"
        )
    while not bench.suspected and len(bench.delivered) < 4:
        await bench.news()
    lost = await bench.layer.history(ROOM, Position(at.epoch, at.offset + 1), 10)
    is_same = receipt.position.epoch == at.epoch
    expect(lost.complete == is_same, "a position that the old epoch has not reached leads on")
