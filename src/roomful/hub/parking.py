"""Parking: a task that has handled a message waits a moment for the next one of the same connection.

On Python 3.11, which has no eager tasks, a new task costs twice as much as waking one up. A connection that is silent
for a second owns none.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

__all__ = ("TICK_S", "Parked", "Parking")

TICK_S = 0.5
"""A task waits for at least one tick and at most two."""


class Parked(Protocol):
    """Who owns a task that waits."""

    def unpark_if_idle(self) -> None:
        """End the task if it has waited since the last call."""


class Parking:
    """The tasks of one hub that work and wait, with one timer for all of them, and none while there are none."""

    __slots__ = ("_owners", "_timer")

    def __init__(self) -> None:
        self._owners: set[Parked] = set()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, owner: Parked) -> None:
        """Know of a task that has begun."""
        self._owners.add(owner)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(TICK_S, self._tick)

    def discard(self, owner: Parked) -> None:
        """Forget a task that has ended."""
        self._owners.discard(owner)
        if self._timer is not None and not self._owners:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(TICK_S, self._tick)
        for owner in self._owners:
            owner.unpark_if_idle()
