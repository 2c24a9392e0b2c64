"""Buckets: how much of something may be done in a time. Pure: the time is passed in."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Final

__all__ = ("Allowance", "Bucket", "Buckets")

_REST_S: Final = 0.1
"""Time's worth for which a client that has used up all is held back at least."""

_BYTE_SHIFT: Final = 7
"""A unit is 128 bytes where nothing asks for a finer one."""

_NEVER: Final = 62
"""A shift that leaves nothing of any length."""


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
    """What one client may send, in whole units: each message takes some, each byte a part, and time brings them.

    It looks at the clock only when it is used up, because every message passes it. So after a silence a client may send
    up to twice the burst at once; over any longer time the rates hold, within a hundredth. Where both are set a message
    counts against both together.

    Args:
        messages_per_s: Messages a second, or None for any number.
        bytes_per_s: Bytes a second, likewise; of a text its characters, which are no more. Without `messages_per_s` a
            message counts as 128 bytes at least.
        burst_s: How many seconds' worth may come at once.
        now: The time.

    Attributes:
        left: Units that are left.
        message_cost: Units that a message takes.
        byte_shift: By how many bits its length is shifted for the units that its bytes take.
    """

    __slots__ = ("_burst", "_filled_at", "_per_s", "byte_shift", "left", "message_cost")

    def __init__(
        self, messages_per_s: float | None, bytes_per_s: float | None, burst_s: float, now: float
    ) -> None:
        # Small whole numbers: measured, the arithmetic costs half of what it does with floats.
        self.message_cost: int = 1
        self.byte_shift: int = _BYTE_SHIFT
        if bytes_per_s is None:
            self.byte_shift = _NEVER
            self._per_s = messages_per_s or 0.0
            if messages_per_s is None:
                self.message_cost = 0
        elif messages_per_s is None:
            self._per_s = bytes_per_s / 2**_BYTE_SHIFT
        else:
            # As many bytes a unit as leave a message enough units to be exact within a hundredth.
            bytes_a_message = bytes_per_s / messages_per_s
            self.byte_shift = max(0, min(_BYTE_SHIFT, int(math.log2(max(1.0, bytes_a_message / 64)))))
            self._per_s = bytes_per_s / 2**self.byte_shift
            self.message_cost = max(1, round(self._per_s / messages_per_s))
        self._burst = max(1, round(self._per_s * burst_s)) if self._per_s else 0
        self.left: int = self._burst
        self._filled_at = now

    def spend(self, message: str | bytes) -> bool:
        """Count a message that has come. Returns False when that was more than there was."""
        self.left -= self.message_cost + (len(message) >> self.byte_shift)
        return self.left >= 0

    def refill(self, now: float) -> float:
        """Add what the time has brought. Returns for how many seconds nothing more may come; 0 for at once."""
        gained = int((now - self._filled_at) * self._per_s)
        if self.left + gained >= self._burst:
            self.left = self._burst
            self._filled_at = now
            return 0.0
        self.left += gained
        # What did not make a whole unit is not forgotten.
        self._filled_at += gained / self._per_s
        if self.left >= 0:
            return 0.0
        # A little more than nothing, so that a quick client does not cost a timer for each message.
        rest = min(self._burst, round(self._per_s * _REST_S))
        return (rest - self.left) / self._per_s
