"""Buckets: how much of something may be done in a time. Pure: the time is passed in."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

__all__ = ("Allowance", "Bucket", "Buckets")

_REST_S: Final = 0.1


class Bucket:
    """Holds up to `burst` tokens and gains `per_s` of them a second."""

    __slots__ = ("_burst", "_filled_at", "_per_s", "_tokens")

    def __init__(self, per_s: float, burst: float, now: float) -> None:
        self._per_s = per_s
        self._burst = burst
        self._tokens = burst
        self._filled_at = now

    def take(self, now: float) -> bool:
        """Take one token, if there is one."""
        self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * self._per_s)
        self._filled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def is_full(self, now: float) -> bool:
        """Whether nothing has been taken for so long that the bucket may be forgotten."""
        return self._tokens + (now - self._filled_at) * self._per_s >= self._burst


class Buckets:
    """One bucket for each of many, at most `limit` of them; those that are full again are forgotten first.

    When so many are in use at once, those of the longest silence are forgotten too: memory has an end, and whoever has
    that many addresses is not stopped by counting them.
    """

    __slots__ = ("_buckets", "_burst", "_limit", "_per_s")

    def __init__(self, per_s: float, burst: float, *, limit: int = 10_000) -> None:
        self._per_s = per_s
        self._burst = burst
        self._limit = limit
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, whose: str, now: float) -> bool:
        """Take a token of one of them, if there is one."""
        bucket = self._buckets.get(whose)
        if bucket is None:
            bucket = self._buckets[whose] = Bucket(self._per_s, self._burst, now)
            self._forget(now)
        self._buckets.move_to_end(whose)
        return bucket.take(now)

    def _forget(self, now: float) -> None:
        # Two for each that comes, so that what is over shrinks and no call is long.
        for _ in range(2):
            whose, oldest = next(iter(self._buckets.items()))
            if len(self._buckets) <= self._limit and not oldest.is_full(now):
                return
            if len(self._buckets) > 1:
                del self._buckets[whose]


class Allowance:
    """What one client may send: messages and bytes.

    It looks at the clock only when it is used up, because every message passes it. So after a silence a client may send
    up to twice the burst at once; over any longer time the rate holds.

    Args:
        messages_per_s: Messages a second, or None for any number.
        bytes_per_s: Bytes a second, likewise.
        burst_s: How many seconds' worth may come at once.
        now: The time.
    """

    __slots__ = ("_burst_s", "_bytes", "_bytes_per_s", "_filled_at", "_messages", "_messages_per_s")

    def __init__(
        self, messages_per_s: float | None, bytes_per_s: float | None, burst_s: float, now: float
    ) -> None:
        # What has no bound counts down from infinity, which spares a question for every message.
        self._messages_per_s = float("inf") if messages_per_s is None else messages_per_s
        self._bytes_per_s = float("inf") if bytes_per_s is None else bytes_per_s
        self._burst_s = burst_s
        self._messages = self._messages_per_s * burst_s
        self._bytes = self._bytes_per_s * burst_s
        self._filled_at = now

    def spend(self, size: int) -> bool:
        """Count a message that has come. Returns False when that was more than there was."""
        self._messages -= 1
        self._bytes -= size
        return self._messages >= 0 and self._bytes >= 0

    def refill(self, now: float) -> float:
        """Add what the time has brought. Returns for how many seconds nothing more may come; 0 for at once."""
        since = now - self._filled_at
        self._filled_at = now
        self._messages, messages_s = _refilled(self._messages, self._messages_per_s, self._burst_s, since)
        self._bytes, bytes_s = _refilled(self._bytes, self._bytes_per_s, self._burst_s, since)
        return max(messages_s, bytes_s)


def _refilled(left: float, per_s: float, burst_s: float, since: float) -> tuple[float, float]:
    if per_s == float("inf"):
        return per_s, 0.0
    left = min(per_s * burst_s, left + per_s * since)
    if left >= 0:
        return left, 0.0
    # A little more than nothing, so that a quick client does not cost a timer for each message.
    return left, (per_s * min(burst_s, _REST_S) - left) / per_s
