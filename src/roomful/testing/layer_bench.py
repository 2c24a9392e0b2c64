"""The bench on which a layer is checked: a producer that numbers its pushes, and a record of what is delivered."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import NamedTuple

from ..core.names import RoomName
from ..core.ports import Layer, ProducerSeq, Receipt
from ..core.positions import Position

__all__ = ("ROOM", "Bench", "Delivered", "expect")

ROOM = RoomName("room")


class Delivered(NamedTuple):
    """One call of `deliver`."""

    room: RoomName
    at: Position
    payload: bytes


def expect(holds: object, otherwise: str) -> None:
    """Raise unless something holds; `assert` would be silent under `python -O`."""
    if not holds:
        raise AssertionError(otherwise)


class Bench:
    """One layer under check.

    Attributes:
        layer: The layer.
        delivered: What it has delivered, in order.
        suspected: The rooms that it has suspected.
        threads: The threads in which it has called.
        on_delivery: Called within `deliver`.
    """

    def __init__(self, layer: Layer) -> None:
        self.layer = layer
        self.delivered: list[Delivered] = []
        self.suspected: list[RoomName] = []
        self.threads: set[int] = set()
        self.on_delivery: Callable[[Delivered], None] | None = None
        self._number = 0
        self._is_started = False
        self._changed = asyncio.Event()

    async def start(self) -> None:
        """Start the layer; what it delivers is recorded from now on, and nothing of before."""
        self.delivered = delivered = []
        self.suspected = suspected = []

        def deliver(room: RoomName, at: Position, payload: bytes) -> None:
            event = Delivered(room, at, payload)
            delivered.append(event)
            self._note()
            if self.on_delivery is not None:
                self.on_delivery(event)

        def suspect(room: RoomName) -> None:
            suspected.append(room)
            self._note()

        await self.layer.start(deliver, suspect)
        self._is_started = True

    async def stop(self) -> None:
        """Stop the layer, if it is started."""
        if self._is_started:
            self._is_started = False
            await self.layer.stop()

    def _note(self) -> None:
        self.threads.add(threading.get_ident())
        self._changed.set()

    def publish(
        self,
        payload: bytes = b"",
        *,
        room: str = ROOM,
        key: str | None = None,
        producer: str = "producer",
        number: int | None = None,
    ) -> asyncio.Future[Receipt]:
        """Publish, by default as the next push of one producer."""
        if number is None:
            self._number += 1
            number = self._number
        return self.layer.publish(RoomName(room), payload, seq=ProducerSeq(producer, number), key=key)

    async def arrived(self, count: int) -> list[Delivered]:
        """Wait for so many deliveries; return all."""
        while len(self.delivered) < count:
            await self.news()
        return self.delivered

    async def news(self) -> None:
        """Wait until something more is delivered or suspected."""
        self._changed.clear()
        await self._changed.wait()

    async def arrived_at(self, last: Position, room: str = ROOM) -> list[Delivered]:
        """Wait until a room's event at a position is delivered; return the room's deliveries.

        A room's order makes this the way to see what was *not* delivered before.
        """
        while not any(event.room == room and event.at == last for event in self.delivered):
            await self.news()
        return [event for event in self.delivered if event.room == room]
