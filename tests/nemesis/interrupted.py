"""A layer whose deliveries are interrupted now and then, as a broker's are when its connection breaks.

What is pushed meanwhile is numbered and kept, and not delivered; then every room is suspected. A page of history takes
its time, as over a network, so that events come while it is read. It breaks no promise of the port `Layer`.
"""

from __future__ import annotations

import asyncio
import random

from roomful.core.names import RoomName
from roomful.core.ports import Deliver, Page, Suspect
from roomful.core.positions import Position
from roomful.layers.memory import MemoryLayer

__all__ = ("InterruptedLayer",)

_TIMES_S = (0.0, 0.002, 0.02)


class InterruptedLayer(MemoryLayer):
    """Interrupts itself from a seed, once in some hundred events, for a few milliseconds."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._choose = random.Random(seed)
        self._left_out: set[RoomName] | None = None

    async def start(self, deliver: Deliver, suspect: Suspect) -> None:
        """Begin, with deliveries that may be left out."""
        loop = asyncio.get_running_loop()

        def end() -> None:
            rooms, self._left_out = self._left_out or (), None
            for room in rooms:
                suspect(room)

        def deliver_or_not(room: RoomName, at: Position, payload: bytes) -> None:
            if self._left_out is None:
                if self._choose.random() > 0.01:
                    deliver(room, at, payload)
                    return
                self._left_out = set()
                loop.call_later(self._choose.choice(_TIMES_S), end)
            self._left_out.add(room)

        await super().start(deliver_or_not, suspect)

    async def history(self, room: RoomName, after: Position, limit: int) -> Page:
        """Return a page as it was when it was asked for."""
        page = await super().history(room, after, limit)
        await asyncio.sleep(self._choose.choice(_TIMES_S))
        return page
