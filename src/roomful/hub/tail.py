"""The tail: the last events of a room, kept while members come back to it.

A page of history is older than the room by the time that it is here, and a busy room would never be reached by pages
alone. What came since stands in the tail. Pure; it has no holes, and it is bounded.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ..core.positions import Position
    from .sequencer import Numbered

__all__ = ("Tail",)

_MAX_EVENTS: Final = 1024  # what a busy room gets while a page is read
_MAX_BYTES: Final = 1024 * 1024  # as much as a room's history by default


class Tail:
    """Events in their order, each of which followed the one before."""

    __slots__ = ("_events", "_size")

    def __init__(self) -> None:
        self._events: deque[Numbered] = deque()
        self._size = 0

    def append(self, at: Position, payload: bytes) -> None:
        """Add the next event; what exceeds the bounds goes, the oldest first."""
        self._events.append((at, payload))
        self._size += len(payload)
        while len(self._events) > _MAX_EVENTS or self._size > _MAX_BYTES:
            self._size -= len(self._events.popleft()[1])

    def clear(self) -> None:
        """Know that what comes next does not follow."""
        self._events.clear()
        self._size = 0

    def after(self, known: Position) -> list[Numbered]:
        """Return all that followed a position, or nothing where that cannot be said."""
        if not self._events:
            return []
        index = known.offset + 1 - self._events[0][0].offset
        if not 0 <= index < len(self._events) or self._events[index][0].epoch != known.epoch:
            return []
        return list(islice(self._events, index, None))
