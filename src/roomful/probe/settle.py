"""Wait until the server has recovered from the trial before: queues drained, memory back or steady.

An interpreter seldom gives memory back to the system, so memory that no longer changes counts as settled too.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from roomful.probe.fleet import Fleet

__all__ = ("Settler", "Watched")

_TRIES: Final = 8
_PAUSE_S: Final = 0.05
_STEADY: Final = 0.02
_SLACK_BYTES: Final = 32 << 20


class Watched(Protocol):
    """Who knows the server's memory."""

    def memory_now(self) -> int | None:
        """Resident bytes of the server's processes, when they can be seen."""


class Settler:
    """Bring the server to rest between trials."""

    def __init__(self, watched: Watched, fleet: Fleet) -> None:
        self._watched = watched
        self._fleet = fleet
        self._first_bytes: int | None = None

    async def settle(self, rtt_s: float) -> bool:
        """Wait, for a second at most; return whether the server is at rest."""
        for _ in range(_TRIES):
            memory = self._watched.memory_now()
            if self._first_bytes is None:
                self._first_bytes = memory
            answers = await self._answers(rtt_s)
            if answers and self._at_rest(memory):
                return True
            await asyncio.sleep(_PAUSE_S)
            if answers and memory is not None:
                later = self._watched.memory_now() or memory
                if abs(later - memory) <= _STEADY * memory:
                    return True
        return False

    def _at_rest(self, memory: int | None) -> bool:
        return memory is None or self._first_bytes is None or memory <= self._first_bytes * 1.1 + _SLACK_BYTES

    async def _answers(self, rtt_s: float) -> bool:
        """Whether a pong comes about as quickly as at first, on a connection that is still open."""
        for connection in self._fleet.connections:
            if connection.end is None:
                limit_s = max(0.1, 5 * rtt_s)
                return await connection.ping(timeout_s=limit_s) is not None
        return True
