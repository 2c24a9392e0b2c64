"""Wait until the server has recovered from the trial before: queues drained, memory back or steady.

An interpreter seldom gives memory back to the system, so memory that no longer changes counts as settled too.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from roomful.probe.connection import Connection
from roomful.probe.fleet import Fleet
from roomful.probe.marks import MARK_BYTES, Marker, find_mark
from roomful.probe.payloads import make_recipe
from roomful.probe.template import Template

__all__ = ("Settler", "Watched")

_RUN: Final = "settle"
_TRIES: Final = 8
_GONE_A_TRY: Final = 400
_PAUSE_S: Final = 0.05
_STEADY: Final = 0.02
_SLACK_BYTES: Final = 32 << 20


class Watched(Protocol):
    """Who knows the server's memory."""

    def memory_now(self) -> int | None:
        """Resident bytes of the server's processes, when they can be seen."""


class _Ear:
    """Hear the answer to a lone message."""

    def __init__(self) -> None:
        self.heard = asyncio.Event()

    def received(self, connection: Connection, messages: list[tuple[int, bytes, int, int]]) -> None:
        """Note an answer."""
        for _, data, start, end in messages:
            found = find_mark(data, start, end)[1]
            # Where answers carry no mark, any will do; a mark of a trial is what is still under way.
            if found is None or found.run == _RUN.encode():
                self.heard.set()

    def resumed(self, connection: Connection) -> None:
        """Nothing waits here."""

    def closed(self, connection: Connection) -> None:
        """End the waiting."""
        self.heard.set()


class Settler:
    """Bring the server to rest between trials."""

    def __init__(self, watched: Watched, fleet: Fleet, *, binary: bool) -> None:
        self._watched = watched
        self._binary = binary
        self._fleet = fleet
        self._first_bytes: int | None = None

    async def settle(self, rtt_s: float, *, gone: int = 0) -> bool:
        """Wait, for two seconds or so at most; return whether the server is at rest.

        Args:
            rtt_s: What a lone message takes.
            gone: How many connections have just been closed; a server has something to do about each.
        """
        for _ in range(_TRIES + gone // _GONE_A_TRY):
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
        """Whether a lone message is answered: then no queue stands before it."""
        connection = next((each for each in self._fleet.connections if each.end is None), None)
        if connection is None:
            # A new connection has new queues; whether it opens is the trial's to find out.
            return True
        ear = _Ear()
        connection.listener = ear
        recipe = make_recipe("binary" if self._binary else "text", MARK_BYTES)
        template = Template(recipe, self._fleet.adapter.around(connection.number), connection.key_byte)
        connection.write(b"".join(template.parts(Marker(_RUN, connection.number).mark(0, 0)[0])))
        try:
            async with asyncio.timeout(max(0.1, 5 * rtt_s)):
                await ear.heard.wait()
            return connection.end is None
        except TimeoutError:
            return False
        finally:
            connection.listener = None
