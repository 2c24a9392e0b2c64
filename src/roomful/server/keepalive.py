"""Keepalive of one connection that speaks plain ASGI: pings it when it is silent, lets it go when it stays so.

Connections that a hub has adopted do not use this: the hub has one wheel for all of them. Any bytes are a sign of life,
and a pause of reading that we made ourselves never counts against the client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from asyncio import TimerHandle
    from collections.abc import Callable

__all__ = ("Clock", "Keepalive", "Kept")


class Clock(Protocol):
    """What a keepalive needs of an event loop."""

    def time(self) -> float:
        """Return the time in seconds."""

    def call_later(self, delay: float, callback: Callable[[], object], /) -> TimerHandle:
        """Call back after a delay."""


class Kept(Protocol):
    """What a keepalive needs of a connection."""

    @property
    def reads(self) -> bool:
        """Whether bytes of the client would be seen now."""

    def ping(self) -> None:
        """Ask the client for a sign of life."""

    def silent(self) -> None:
        """Know that the client gave none in time."""


class Keepalive:
    """One timer for one connection.

    Args:
        kept: The connection.
        clock: The running event loop.
        interval_s: Silence after which the client is pinged.
        timeout_s: Further silence after which it is given up; None for never.
    """

    __slots__ = ("_clock", "_interval_s", "_kept", "_last", "_overdue", "_pinged", "_timeout_s", "_timer")

    def __init__(self, kept: Kept, clock: Clock, *, interval_s: float, timeout_s: float | None) -> None:
        self._kept = kept
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._clock = clock
        self._last = self._clock.time()
        self._pinged = False
        self._overdue = False
        self._timer: TimerHandle | None = self._clock.call_later(interval_s, self._look)

    def heard(self) -> None:
        """Note a sign of life."""
        self._last = self._clock.time()
        self._pinged = False
        self._overdue = False

    def stop(self) -> None:
        """End. A second call does nothing."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        now = self._clock.time()
        if not self._kept.reads:
            # The pong would wait behind what we do not read.
            self.heard()
        wait_s = self._interval_s
        if self._pinged and self._timeout_s is not None:
            wait_s = self._last + self._interval_s + self._timeout_s - now
            if wait_s <= 0 and self._overdue:
                self._timer = None
                self._kept.silent()
                return
            # After the loop was blocked, uvloop runs timers before it reads: the pong may be there already, so the
            # sockets get one more pass.
            self._overdue = wait_s <= 0
            wait_s = max(wait_s, 0.01)
        elif (wait_s := self._last + self._interval_s - now) <= 0:
            self._kept.ping()
            self._pinged = True
            wait_s = self._interval_s if self._timeout_s is None else self._timeout_s
        self._timer = self._clock.call_later(wait_s, self._look)
