"""When each message is due: an open-loop schedule that never waits for the server.

Times are seconds from the start of a trial. A schedule knows nothing of clients, clocks or sockets.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, sqrt
from typing import Protocol

__all__ = ("Burst", "Constant", "Ramp", "Schedule", "Window")


class Schedule(Protocol):
    """Say when message `index` is due, and how many are due by a time; each is the other's inverse."""

    @property
    def count(self) -> int:
        """How many messages there are."""

    @property
    def duration_s(self) -> float:
        """From the first message's time to the end of the last one's share of time."""

    def due_s(self, index: int) -> float:
        """When message `index` (from 0) is due."""

    def due_by(self, time_s: float) -> int:
        """How many messages are due at or before a time."""


@dataclass(frozen=True, slots=True)
class Constant:
    """`rate` messages a second, evenly."""

    rate: float
    count: int

    @property
    def duration_s(self) -> float:
        """See `Schedule`."""
        return self.count / self.rate

    def due_s(self, index: int) -> float:
        """See `Schedule`."""
        return index / self.rate

    def due_by(self, time_s: float) -> int:
        """See `Schedule`."""
        return _settle(self, int(time_s * self.rate) + 1 if time_s >= 0 else 0, time_s)


@dataclass(frozen=True, slots=True)
class Ramp:
    """From no load up to `rate` over the whole time, so that half as many messages are sent as at a constant rate."""

    rate: float
    count: int

    @property
    def duration_s(self) -> float:
        """See `Schedule`."""
        return 2 * self.count / self.rate

    def due_s(self, index: int) -> float:
        """See `Schedule`."""
        # index = rate * t² / (2 * duration)
        return sqrt(index * 2 * self.duration_s / self.rate)

    def due_by(self, time_s: float) -> int:
        """See `Schedule`."""
        guess = int(time_s * time_s * self.rate / (2 * self.duration_s)) + 1 if time_s >= 0 else 0
        return _settle(self, guess, time_s)


@dataclass(frozen=True, slots=True)
class Burst:
    """`burst` messages at once, so often that `rate` messages a second result."""

    rate: float
    count: int
    burst: int

    @property
    def duration_s(self) -> float:
        """See `Schedule`."""
        return ceil(self.count / self.burst) * self.burst / self.rate

    def due_s(self, index: int) -> float:
        """See `Schedule`."""
        return (index // self.burst) * self.burst / self.rate

    def due_by(self, time_s: float) -> int:
        """See `Schedule`."""
        if time_s < 0:
            return 0
        return _settle(self, (int(time_s * self.rate / self.burst) + 1) * self.burst, time_s)


def _settle(schedule: Schedule, guess: int, time_s: float) -> int:
    """Correct a guess by what floating point made of it, so that `due_by` is exactly the inverse of `due_s`."""
    guess = min(max(guess, 0), schedule.count)
    while guess < schedule.count and schedule.due_s(guess) <= time_s:
        guess += 1
    while guess > 0 and schedule.due_s(guess - 1) > time_s:
        guess -= 1
    return guess


class Window:
    """No open loop: so many messages under way, the next when one has come back.

    It serves to guess where a search should begin; no result of it is reported as a rate that is good.
    """

    def __init__(self, size: int, returned: Callable[[], int], *, duration_s: float, count: int) -> None:
        self.count = count
        self.duration_s = duration_s
        self._size = size
        self._returned = returned
        self._now = 0.0

    def due_s(self, index: int) -> float:
        """See `Schedule`."""
        return min(self._now, self.duration_s)

    def due_by(self, time_s: float) -> int:
        """See `Schedule`."""
        self._now = time_s
        return min(self._returned() + self._size, self.count)
