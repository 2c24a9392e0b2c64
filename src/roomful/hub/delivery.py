"""Delivery: what is pushed goes to the layer, and what the layer delivers goes to the members of its room.

One path for every push: `push` → `Layer.publish` → `deliver` → encode once per kind → pending → flush. What the layer
suspects is read from its history before anything newer is passed on. It never awaits a socket.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import TYPE_CHECKING, Protocol

from ..core.close_codes import CloseCode
from ..core.envelope import Envelope, Form
from ..core.errors import LayerError, PolicyError
from ..core.names import ConnectionId, RoomName, push_key
from ..core.ports import ProducerSeq, Receipt
from .outbox import Entry

if TYPE_CHECKING:
    from ..core.events import Event
    from ..core.ports import Codec, Layer
    from ..core.positions import Gap, Position
    from .flusher import Flusher
    from .member import Member
    from .memberships import Memberships
    from .reading import Reader
    from .rooms import Room
    from .statistics import Counters

__all__ = ("Delivery", "Topic", "read_envelope")

logger: logging.Logger = logging.getLogger("roomful.hub")


def read_envelope(name: RoomName, at: Position, payload: bytes) -> Envelope | None:
    """Return what a layer has carried, or None when nobody here can read it."""
    try:
        return Envelope.unpack(payload)
    except LayerError:
        logger.exception("room %r: event %s cannot be read", name, at)
        return None


class Topic(Protocol):
    """What the layer delivers besides rooms."""

    def deliver(self, at: Position, payload: bytes) -> None:
        """Take the next event of the topic."""

    def suspect(self) -> None:
        """Take the news that events may have been missed."""


class Delivery:
    """The way of an event through one hub, on one event loop.

    Args:
        producer: What this hub calls itself in the sequences of its pushes.
        layer: Carries and numbers events.
        codec: Encodes what is pushed.
        memberships: The rooms and their members.
        topics: What else the layer delivers, by name.
        reader: Closes holes.
        flusher: Writes what is pending.
        counters: Where pushes and deliveries are counted.
        find: Returns a connection by its id.
        paused: The connections whose transport is full; those of `Residents`.
    """

    def __init__(
        self,
        producer: str,
        layer: Layer,
        codec: Codec,
        *,
        memberships: Memberships,
        topics: Mapping[RoomName, Topic],
        reader: Reader,
        flusher: Flusher[Member],
        counters: Counters,
        find: Callable[[ConnectionId], Member | None],
        paused: Collection[Member],
    ) -> None:
        self._producer = producer
        self._layer = layer
        self._codec = codec
        self._memberships = memberships
        self._topics = topics
        self._flusher = flusher
        self._counters = counters
        self._find = find
        self._paused = paused
        self._reader = reader

    # ── Out of this process ──

    def publish(
        self,
        room: str,
        message: Event | str | bytes,
        *,
        exclude: ConnectionId | None,
        key: str | None,
        conflate: str,
    ) -> asyncio.Future[Receipt]:
        """Hand a push to the layer."""
        if key is not None:
            push_key(key)
        name = self._memberships.name_of(room)
        policy = self._memberships.policy_of(name)
        form, body = self._codec.pack(message)
        if policy.skips and form in (Form.TEXT, Form.BYTES):
            raise PolicyError(
                f"room {name!r} may skip events ({policy.on_slow}), and a message of the application's own cannot say "
                "which; push an Event"
            )
        self._counters.pushes += 1
        seq = ProducerSeq(self._producer, self._counters.pushes)
        payload = Envelope(form, body, exclude, conflate).pack()
        return self._layer.publish(name, payload, seq=seq, key=key, keep=policy.retention)

    async def room_to_write(self, room: str, timeout_s: float) -> None:
        """Wait until no member's outbox is crowded, or for `timeout_s`."""
        waits: list[asyncio.Future[None]] = []
        try:
            async with asyncio.timeout(timeout_s):
                while waits := self._crowded(RoomName(room)):
                    await asyncio.wait(waits)
        except TimeoutError:
            return
        finally:
            for wait in waits:
                wait.cancel()  # else a member that stays crowded would keep it

    def _crowded(self, name: RoomName) -> list[asyncio.Future[None]]:
        room = self._memberships.rooms.get(name)
        if room is None:
            return []
        found = [member.room_to_write() for member in self._paused if member in room.members]
        return [crowded for crowded in found if crowded is not None]

    def flush(self, name: RoomName) -> None:
        """Write what is pending in a room."""
        if (room := self._memberships.rooms.get(name)) is not None:
            self._flusher.flush(list(room.branches.values()))

    # ── Into this process ──

    def deliver(self, name: RoomName, at: Position, payload: bytes) -> None:
        """Take the next event of a room; see `core.ports.Deliver`."""
        if self._flusher.flushing:
            self._flusher.after_flush(partial(self.deliver, name, at, payload))
            return
        room = self._memberships.rooms.get(name)
        if room is None:
            if (topic := self._topics.get(name)) is not None:
                topic.deliver(at, payload)
        elif room.order.deliver(at, payload):
            self._pass_on(room, at, payload)
        elif room.order.is_behind:
            self._read_on(room)

    def suspect(self, name: RoomName) -> None:
        """Take the news that events of a room may have been missed; see `core.ports.Suspect`."""
        if (room := self._memberships.rooms.get(name)) is not None:
            room.order.suspect()
            self._read_on(room)
        elif (topic := self._topics.get(name)) is not None:
            topic.suspect()

    async def catch_up(self, name: RoomName) -> None:
        """Bring a room to where the layer stands."""
        if (room := self._memberships.rooms.get(name)) is not None:
            self.suspect(name)
            await self._reader.finished(room.order)

    def _pass_on(self, room: Room[Member], at: Position, payload: bytes) -> None:
        if room.tail is not None:
            room.tail.append(at, payload)
        envelope = read_envelope(room.name, at, payload)
        # Every branch has the event before anything is written: what a write entails may push again, behind this.
        untold = room.append(at, envelope)
        self._counters.deliveries += len(room.members)
        if envelope is not None and envelope.exclude is not None:
            self._exclude(envelope.exclude, room, at)
        self._flusher.appended(list(room.branches.values()))
        self._let_go(untold)

    def _exclude(self, connection_id: ConnectionId, room: Room[Member], at: Position) -> None:
        # Of the event that was appended last the member gets the position, behind what it is owed before it.
        connection = self._find(connection_id)
        branch = None if connection is None else room.members.get(connection)
        if connection is None or branch is None or branch.pending[-1].at != at:
            return
        self._counters.deliveries -= 1
        owed = list(branch.catch_up(connection)[:-1])
        if (alone := branch.kind.position(room.name, at)) is not None:
            owed.append(Entry(alone, room.name, at, "", room.policy.skips))
        connection.send_entries(owed)

    def _tell(self, room: Room[Member], gap: Gap) -> None:
        logger.warning(
            "room %r: members are told of a gap (%s) in epoch %s", room.name, gap.reason, gap.epoch
        )
        self._counters.gaps += 1
        if room.tail is not None:
            room.tail.clear()
        untold = room.append_gap(gap)
        self._flusher.appended(list(room.branches.values()))
        self._let_go(untold)

    @staticmethod
    def _let_go(untold: list[Member]) -> None:
        for connection in untold:
            connection.let_go(CloseCode.GAP, "events may be missing; reconnect and resume", "gap")

    def _read_on(self, room: Room[Member]) -> None:
        self._reader.read_on(
            room.name,
            room.order,
            pass_on=partial(self._pass_on, room),
            tell=partial(self._tell, room),
            is_needed=lambda: self._memberships.rooms.get(room.name) is room,
        )
