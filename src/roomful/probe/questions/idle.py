"""Connections that say nothing, beside everything else: who ends them, when, and how?

They answer the server's pings, as every client does, and send nothing of their own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from roomful.probe.connection import Connection
from roomful.probe.errors import Unreachable
from roomful.probe.opening import open_connection
from roomful.probe.target import Target

__all__ = ("Ending", "IdleWatch")

_CONNECTIONS: Final = 2
_APART_S: Final = 0.3
_MOST_ENDS: Final = 8
_NO_FRAME: Final = 1006


class IdleWatch:
    """Hold idle connections; open each anew that ends.

    Args:
        target: Whom.
        clock: Seconds since the run began.
    """

    def __init__(self, target: Target, clock: Callable[[], float]) -> None:
        self._target = target
        self._clock = clock
        self._ended: list[dict[str, object]] = []
        self._open: dict[Connection, float] = {}
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def ended(self) -> int:
        """How many have ended."""
        return len(self._ended)

    @property
    def open(self) -> int:
        """How many live."""
        return len(self._open)

    @property
    def pings(self) -> int:
        """How many pings the server has sent to those that live."""
        return sum(connection.pings for connection in self._open)

    def start(self) -> None:
        """Open them."""
        self._tasks = [asyncio.create_task(self._hold(number)) for number in range(_CONNECTIONS)]

    async def stop(self) -> list[dict[str, object]]:
        """Close those that live; say of each what became of it."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        living = [self._entry(connection, at_s) for connection, at_s in self._open.items()]
        for connection in self._open:
            connection.close()
            connection.abort()
        self._open.clear()
        return [*self._ended, *living]

    async def _hold(self, number: int) -> None:
        # Two that were opened at one time would say no more than one.
        await asyncio.sleep(number * _APART_S)
        while len(self._ended) < _MOST_ENDS:
            ending = Ending()
            at_s = self._clock()
            try:
                connection = await open_connection(self._target, number, ending, max_bytes=1 << 30)
            except Unreachable:
                # The server is gone or full; that is other evidence's to say.
                return
            self._open[connection] = at_s
            await ending.ended.wait()
            self._ended.append(self._entry(connection, at_s))
            del self._open[connection]

    def _entry(self, connection: Connection, opened_at_s: float) -> dict[str, object]:
        end = connection.end
        now = asyncio.get_running_loop().time()
        ago = now - (now if end is None else end.at)
        return {
            "opened_at_s": round(opened_at_s, 4),
            "ended_at_s": None if end is None else round(self._clock() - ago, 4),
            "quiet_s": round((now if end is None else end.at) - connection.heard_at, 4),
            "code": None if end is None else end.code,
            "reason": "" if end is None else end.reason[:200],
            "close_frame": None if end is None else end.code != _NO_FRAME,
            "server_pings": connection.pings,
        }


class Ending:
    """A listener that waits for the end of its connection."""

    def __init__(self) -> None:
        self.ended: asyncio.Event = asyncio.Event()

    def received(self, connection: Connection, messages: list[tuple[int, bytes, int, int]]) -> None:
        """Nobody spoke to it; what is sent to all is heard and forgotten."""

    def resumed(self, connection: Connection) -> None:
        """Nothing waits here."""

    def closed(self, connection: Connection) -> None:
        """Note the end."""
        self.ended.set()
