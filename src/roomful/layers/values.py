"""Values that expire: the keyed state of one process.

It forgets nothing before its time: when it is full it refuses what is new.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

from ..core.errors import LayerAway

__all__ = ("Values",)

_SLACK = 64  # stale entries of the heap that are not worth a clean-up


class Values:
    """Small values by key, each with its own time.

    Args:
        max_values: Values that are kept at most.
        clock: A monotonic time in seconds.
    """

    __slots__ = ("_clock", "_ends", "_max_values", "_values")

    def __init__(self, max_values: int, clock: Callable[[], float]) -> None:
        self._max_values = max_values
        self._clock = clock
        self._values: dict[str, tuple[float, bytes]] = {}
        # When values end; what was replaced or taken meanwhile is recognised by its time.
        self._ends: list[tuple[float, str]] = []

    def __len__(self) -> int:
        return len(self._values)

    def put(self, key: str, value: bytes, ttl_s: float) -> None:
        """Store a value, whatever the key had.

        Raises:
            LayerAway: As many values are kept as may be.
        """
        self._sweep()
        if key not in self._values and len(self._values) >= self._max_values:
            raise LayerAway(f"memory layer keeps {self._max_values} values already (max_values)")
        end = self._clock() + ttl_s
        self._values[key] = (end, value)
        heapq.heappush(self._ends, (end, key))

    def put_once(self, key: str, value: bytes, ttl_s: float) -> bool:
        """Store a value if the key has none; return whether it was stored.

        Raises:
            LayerAway: As many values are kept as may be.
        """
        if self.get(key) is not None:
            return False
        self.put(key, value, ttl_s)
        return True

    def get(self, key: str) -> bytes | None:
        """Return a value that has not expired."""
        self._sweep()
        entry = self._values.get(key)
        return None if entry is None else entry[1]

    def take_once(self, key: str) -> bytes | None:
        """Remove and return a value."""
        value = self.get(key)
        if value is not None:
            del self._values[key]
        return value

    def clear(self) -> None:
        """Forget everything."""
        self._values.clear()
        self._ends.clear()

    def _sweep(self) -> None:
        now = self._clock()
        while self._ends and self._ends[0][0] <= now:
            end, key = heapq.heappop(self._ends)
            if self._values.get(key, (0.0, b""))[0] == end:
                del self._values[key]
        if len(self._ends) > 2 * len(self._values) + _SLACK:
            self._ends = [(end, key) for key, (end, _) in self._values.items()]
            heapq.heapify(self._ends)
