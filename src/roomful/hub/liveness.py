"""Liveness: turns the heartbeat's wheel for the connections that the hub supervises itself.

One timer for all of them, and none while there are none.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from ..core.close_codes import CloseCode
from .heartbeat import Beat, Wheel

if TYPE_CHECKING:
    from collections.abc import Collection

    from ..core.limits import Limits
    from .member import Member

__all__ = ("Liveness",)


class Liveness:
    """Pings silent connections, and lets go those that stay silent or whose transport makes no progress.

    Args:
        limits: The times.
        paused: The connections whose transport is full; those of `Residents`.
    """

    __slots__ = ("_interval", "_limits", "_paused", "_tick_s", "_timeout", "_timer", "_wheel")

    def __init__(self, limits: Limits, paused: Collection[Member]) -> None:
        times = (limits.ping_interval_s, limits.ping_timeout_s, limits.write_deadline_s)
        # A quarter of the shortest time is exact enough for a deadline; once a second is enough work.
        self._tick_s = min(1.0, min(times) / 4)
        self._interval = math.ceil(limits.ping_interval_s / self._tick_s)
        self._timeout = math.ceil(limits.ping_timeout_s / self._tick_s)
        self._wheel: Wheel[Member] = Wheel(max(self._interval, self._timeout))
        self._limits = limits
        self._paused = paused
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, connection: Member) -> None:
        """Give a connection its first turn after an interval, if its wire does not supervise itself."""
        if connection.pulse is not None:
            self._wheel.put(connection, ticks=self._interval)
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(self._tick_s, self._tick)

    def forget(self, connection: Member) -> None:
        """Watch a connection no longer."""
        self._wheel.discard(connection)
        if not self._wheel:
            self.stop()

    def stop(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._tick_s, self._tick)
        for connection in self._wheel.tick():
            self._beat(connection)
        for connection in list(self._paused):
            pulse = connection.pulse
            if pulse is not None and not pulse.progressed(
                connection.unsent, self._tick_s, self._limits.write_deadline_s
            ):
                connection.let_go(CloseCode.STALE, "no progress in writing; reconnect and resume", "stuck")

    def _beat(self, connection: Member) -> None:
        assert connection.pulse is not None  # only those are on the wheel
        beat = connection.pulse.beat(reads=connection.reads, flows=connection not in self._paused)
        if beat is Beat.LET_GO:
            connection.let_go(CloseCode.STALE, "no sign of life; reconnect and resume", "stale")
            return
        # First the next turn, then the ping: one that finds its socket dead takes the connection off the wheel.
        self._wheel.put(connection, ticks=self._timeout if beat is Beat.PING else self._interval)
        if beat is Beat.PING:
            connection.ping()
