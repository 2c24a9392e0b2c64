"""A clock that moves when a test says so."""

from __future__ import annotations

__all__ = ("FakeClock",)


class FakeClock:
    """A monotonic time in seconds; called without arguments, as `time.monotonic`."""

    def __init__(self, now: float = 0.0) -> None:
        self._now = now

    def __call__(self) -> float:
        """Return the time."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass.

        Raises:
            ValueError: Time would go back.
        """
        if seconds < 0:
            raise ValueError(f"clock was to advance by {seconds} s; expected at least 0")
        self._now += seconds
