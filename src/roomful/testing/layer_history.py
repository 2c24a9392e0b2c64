"""Checks of a layer's history, also of layers that keep none. Each one's docstring is the guarantee that it holds."""

from __future__ import annotations

from ..core.positions import Position
from .layer_bench import ROOM, Bench, expect

__all__ = ("knows_no_foreign_epoch", "tells_history_in_order", "tells_that_history_is_complete")

_COUNT = 5


async def _published(bench: Bench) -> tuple[Position, list[tuple[Position, bytes]]]:
    """Publish some events; return the position before them, and what a full history has."""
    start = await bench.layer.attach(ROOM)
    payloads = [str(number).encode() for number in range(_COUNT)]
    return start, [((await bench.publish(payload)).position, payload) for payload in payloads]


async def tells_history_in_order(bench: Bench) -> None:
    """A page has at most `limit` of the events that follow, the oldest first, unchanged."""
    start, events = await _published(bench)
    for limit in (1, 3, 100):
        page = await bench.layer.history(ROOM, start, limit)
        expect(len(page.entries) <= limit, f"a page of at most {limit} has {len(page.entries)} events")
        offsets = [at.offset for at, _ in page.entries]
        expect(offsets == sorted(set(offsets)), f"a page has the offsets {offsets}")
        expect(
            all(entry in events for entry in page.entries),
            f"a page has {page.entries}; published were {events}",
        )
        expect(page.top == events[-1][0], f"a page's top is {page.top}; the last event is at {events[-1][0]}")


async def tells_that_history_is_complete(bench: Bench) -> None:
    """A page says that it is complete only if nothing is missing in it."""
    start, events = await _published(bench)
    for after, expected in ((start, events), (events[1][0], events[2:]), (events[-1][0], [])):
        for limit in (1, _COUNT):
            page = await bench.layer.history(ROOM, after, limit)
            if page.complete:
                expect(
                    list(page.entries) == expected[:limit],
                    f"a complete page of at most {limit} after {after} has {page.entries}; expected {expected[:limit]}",
                )
            else:
                expect(expected, f"nothing follows {after}, and the page after it is not complete")


async def knows_no_foreign_epoch(bench: Bench) -> None:
    """A page after a position of another epoch does not call itself complete."""
    start, _ = await _published(bench)
    for after in (Position("nonsense", start.offset), Position(start.epoch, start.offset + 1000)):
        page = await bench.layer.history(ROOM, after, _COUNT)
        expect(not page.complete, f"the page after {after}, which nobody has issued, is complete")
