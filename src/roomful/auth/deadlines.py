"""Deadlines: what of many things is due. Pure: the time is passed in.

Things of one second share a place, so that each costs an entry and no timer.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Hashable
from typing import Generic, TypeVar

__all__ = ("Deadlines",)

T = TypeVar("T", bound=Hashable)


class Deadlines(Generic[T]):
    """Things with a time each; a thing has one at most, and is due within a second after it."""

    __slots__ = ("_at", "_seconds", "_things")

    def __init__(self) -> None:
        self._at: dict[T, int] = {}
        self._things: dict[int, set[T]] = {}
        self._seconds: list[int] = []

    def __len__(self) -> int:
        return len(self._at)

    def put(self, thing: T, at: float) -> None:
        """Let a thing be due at a time; an earlier wish is forgotten."""
        self.discard(thing)
        second = math.ceil(at)
        self._at[thing] = second
        if second not in self._things:
            self._things[second] = set()
            heapq.heappush(self._seconds, second)
        self._things[second].add(thing)

    def discard(self, thing: T) -> None:
        """Forget a thing, if it is here."""
        second = self._at.pop(thing, None)
        if second is not None:
            # The second itself stays until it has passed: to take it out of the heap would cost a search.
            self._things[second].discard(thing)

    def due(self, now: float) -> list[T]:
        """Take out what is due."""
        found: list[T] = []
        while self._seconds and self._seconds[0] <= now:
            found += self._things.pop(heapq.heappop(self._seconds))
        for thing in found:
            del self._at[thing]
        return found

    def next(self) -> float | None:
        """Return when to look again; None when nothing waits."""
        while self._seconds and not self._things[self._seconds[0]]:
            del self._things[heapq.heappop(self._seconds)]
        return self._seconds[0] if self._seconds else None
