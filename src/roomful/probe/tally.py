"""Latencies and the course of a trial: a histogram for all of it, a row for every 50 ms.

It is fed numbers and reads no clock. Nothing of a single message is kept.
"""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass
from typing import Final

from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]  # it carries no types

__all__ = ("MANY", "ROW_S", "Latency", "Row", "Tally", "growth")

ROW_S: Final = 0.05
# Theil-Sen over more pairs than this gains nothing.
_MAX_POINTS: Final = 120
_MIN_POINTS: Final = 6
_MAX_US: Final = 3_600_000_000
MANY: Final = 65_536
"""From so many fresh latencies on they are to be absorbed, so that a tick that takes long keeps little."""


@dataclass(frozen=True, slots=True)
class Row:
    """The trial during one interval; counts are totals since its start.

    Attributes:
        t_s: End of the interval, from the trial's start.
        due: How many messages were due.
        offered: How many were handed to the sockets.
        arrived: How many came, over all receivers.
        latencies: How many latencies follow; those that came in this interval.
        median_us, max_us: Of them.
        paused: How many sockets take no more.
        unsent_bytes: What waits in this process for the kernel.
    """

    t_s: float
    due: int
    offered: int
    arrived: int
    latencies: int
    median_us: int
    max_us: int
    paused: int
    unsent_bytes: int


@dataclass(frozen=True, slots=True)
class Latency:
    """What a histogram of latencies says, in seconds; `encoded` is the whole of it (HdrHistogram V2, base64)."""

    count: int
    min_s: float
    mean_s: float
    p50_s: float
    p90_s: float
    p99_s: float
    p999_s: float
    max_s: float
    encoded: str


class Tally:
    """Collect the latencies of one trial."""

    __slots__ = ("_count", "_histogram", "_longest", "_sample", "fresh", "rows")

    def __init__(self) -> None:
        self._histogram = HdrHistogram(1, _MAX_US, 3)
        self.fresh: array[int] = array("q")
        """Latencies in µs that the histogram has not counted yet; whoever receives appends here."""
        self.rows: list[Row] = []
        self._count = 0
        self._longest = 0
        self._sample: list[int] = []

    def absorb(self) -> None:
        """Count what is fresh; to be called when that is much, and by `row`."""
        fresh = sorted(self.fresh)
        del self.fresh[:]
        if not fresh:
            return
        for value, count in Counter(fresh).items():
            self._histogram.record_value(min(max(value, 1), _MAX_US), count)
        self._count += len(fresh)
        self._longest = max(self._longest, fresh[-1])
        self._sample = fresh

    def row(
        self, t_s: float, *, due: int, offered: int, arrived: int, paused: int, unsent_bytes: int
    ) -> None:
        """End an interval. Of more than 65,536 latencies the median is that of the newest."""
        self.absorb()
        median = self._sample[len(self._sample) // 2] if self._sample else 0
        latencies, longest = self._count, self._longest
        self._count, self._longest, self._sample = 0, 0, []
        row = Row(round(t_s, 4), due, offered, arrived, latencies, median, longest, paused, unsent_bytes)
        self.rows.append(row)

    def latency(self) -> Latency | None:
        """Sum up; `None` when nothing came."""
        made = self._histogram
        if not made.get_total_count():
            return None

        def at(percent: float) -> float:
            return float(made.get_value_at_percentile(percent)) / 1e6

        return Latency(
            count=made.get_total_count(),
            min_s=made.get_min_value() / 1e6,
            mean_s=made.get_mean_value() / 1e6,
            p50_s=at(50),
            p90_s=at(90),
            p99_s=at(99),
            p999_s=at(99.9),
            max_s=made.get_max_value() / 1e6,
            encoded=made.encode().decode(),
        )


def growth(rows: list[Row], *, until_s: float) -> float | None:
    """Return by how much latency grows, in seconds per second, or `None` when too little is known.

    A server that works off `R` messages a second while `r > R` come answers each later by `1 - R/r` than the one
    before: a queue that grows, seen long before a deadline is.
    The median of slopes (Theil-Sen) is taken twice, between rows far apart and between near ones, and the smaller
    counts: a hiccup that is being worked off raises only the first, a server that works in batches only the second.

    Args:
        rows: The course of the trial.
        until_s: When the schedule ended; what came later is the queue's end and as good as any.
    """
    points = [(row.t_s, row.median_us / 1e6) for row in rows if row.latencies and row.t_s <= until_s * 2]
    # What comes first meets an empty queue and cold caches.
    points = points[len(points) // 10 :]
    if len(points) < _MIN_POINTS:
        return None
    points = points[:: len(points) // _MAX_POINTS + 1]
    return min(
        _median_slope(points, len(points) // 3 + 1), _median_slope(points, len(points) // 6, only=True)
    )


def _median_slope(points: list[tuple[float, float]], distance: int, *, only: bool = False) -> float:
    """Return the median of the slopes between points that are so far apart, or further."""
    slopes = sorted(
        (late[1] - early[1]) / (late[0] - early[0])
        for place, early in enumerate(points)
        for late in points[place + distance : place + distance + 1 if only else None]
    )
    return slopes[len(slopes) // 2]
