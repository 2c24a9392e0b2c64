"""A throttle for log lines: one a second and subject, with the number of those that were left out.

Pure: the time is passed in. It does not log.
"""

from __future__ import annotations

__all__ = ("Throttle",)


class Throttle:
    """Decides which of many like events is told.

    Subjects are few and known, such as the reasons for letting a member go; they are never forgotten.
    """

    __slots__ = ("_every_s", "_last", "_left_out")

    def __init__(self, every_s: float = 1.0) -> None:
        self._every_s = every_s
        self._last: dict[str, float] = {}
        self._left_out: dict[str, int] = {}

    def admit(self, subject: str, now: float) -> int | None:
        """Return how many were left out since the last one told, or None when this one is to be left out too."""
        last = self._last.get(subject)
        if last is not None and now - last < self._every_s:
            self._left_out[subject] = self._left_out.get(subject, 0) + 1
            return None
        self._last[subject] = now
        return self._left_out.pop(subject, 0)
