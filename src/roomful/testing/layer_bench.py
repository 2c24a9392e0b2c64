"""The bench on which a layer is checked: a producer that numbers its pushes, and a record of what is delivered."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple
from unittest import SkipTest

from ..core.capabilities import KeyedState, Presence
from ..core.errors import LayerAway
from ..core.names import RoomName
from ..core.policies import Retention
from ..core.ports import Layer, ProducerSeq, Receipt
from ..core.positions import Position

__all__ = ("ROOM", "Bench", "Delivered", "expect")

ROOM = RoomName("room")

_PAUSE_S: Final = 0.01


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

    Args:
        layer: The layer.
        make_peer: Returns a layer of another process that shares everything with it, if there is such a thing.
        restart: Begins anew what the layers meet in, and loses nothing, if that can be done.

    Attributes:
        layer: The layer.
        delivered: What it has delivered, in order.
        suspected: The rooms that it has suspected.
        threads: The threads in which it has called.
        on_delivery: Called within `deliver`.
    """

    def __init__(
        self,
        layer: Layer,
        make_peer: Callable[[Layer], Layer] | None = None,
        restart: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.layer = layer
        self._make_peer = make_peer
        self._restart = restart
        self._peers: list[Bench] = []
        self.delivered: list[Delivered] = []
        self.suspected: list[RoomName] = []
        self.threads: set[int] = set()
        self.on_delivery: Callable[[Delivered], None] | None = None
        self.producer = "producer"
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
        """Stop the layer, if it is started, and its peers."""
        while self._peers:
            await self._peers.pop().stop()
        if self._is_started:
            self._is_started = False
            await self.layer.stop()

    # ── What a layer may lack ──

    def keyed_state(self) -> KeyedState:
        """Return the layer as what keeps values.

        Raises:
            SkipTest: It keeps none.
        """
        if not isinstance(self.layer, KeyedState):
            raise SkipTest(f"{type(self.layer).__name__} has no keyed state")
        return self.layer

    def presence(self) -> Presence:
        """Return the layer as what knows who is present.

        Raises:
            SkipTest: It does not.
        """
        if not isinstance(self.layer, Presence):
            raise SkipTest(f"{type(self.layer).__name__} has no presence")
        return self.layer

    async def peer(self) -> Bench:
        """Return the bench of a layer of another process, started; it stops with this one.

        Raises:
            SkipTest: Nobody has said how to make one.
        """
        if self._make_peer is None:
            raise SkipTest(f"{type(self.layer).__name__} was checked without a peer (make_peer)")
        peer = Bench(self._make_peer(self.layer))
        peer.producer = "peer"
        self._peers.append(peer)
        await peer.start()
        return peer

    @property
    def restart(self) -> Callable[[], Awaitable[None]]:
        """Begin anew what the layers meet in.

        Raises:
            SkipTest: Nobody has said how.
        """
        if self._restart is None:
            raise SkipTest(f"{type(self.layer).__name__} was checked without a restart (restart)")
        return self._restart

    async def publish_until_taken(self, payload: bytes, *, keep: Retention) -> Receipt:
        """Publish, again and again as long as the layer is away."""
        while True:
            try:
                return await self.publish(payload, keep=keep)
            except LayerAway:
                await asyncio.sleep(_PAUSE_S)

    def _note(self) -> None:
        self.threads.add(threading.get_ident())
        self._changed.set()

    def publish(
        self,
        payload: bytes = b"",
        *,
        room: str = ROOM,
        key: str | None = None,
        keep: Retention | None = None,
        producer: str = "",
        number: int | None = None,
    ) -> asyncio.Future[Receipt]:
        """Publish, by default as the next push of one producer."""
        if number is None:
            self._number += 1
            number = self._number
        seq = ProducerSeq(producer or self.producer, number)
        # A layer that keeps nothing is asked as one that knows no keeping would be.
        if keep is None:
            return self.layer.publish(RoomName(room), payload, seq=seq, key=key)
        return self.layer.publish(RoomName(room), payload, seq=seq, key=key, keep=keep)

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
