"""Groups: which consumers are in which group of this process, and what is dispatched to them.

A dispatch travels through the layer as an event of a room does: numbered, once, and gap-checked. It ends in the inboxes
of consumers, never in a socket.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from functools import partial
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from ..core.dispatched import Dispatched, Missed
from ..core.envelope import Envelope
from ..core.errors import ConnectionClosed, InboxFull, LayerError, TooManyRooms
from ..core.names import ConnectionId, RoomName, group_topic, push_key, room_name
from ..core.policies import Retention
from ..core.ports import ProducerSeq
from ..core.positions import Gap
from .sequencer import Sequencer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ..core.events import Event
    from ..core.limits import Limits
    from ..core.ports import Codec, Layer, Receipt
    from ..core.positions import Position
    from .connection import Connection
    from .delivery import Topic
    from .reading import Reader
    from .statistics import Counters
    from .throttle import Throttle

__all__ = ("Groups", "OnFull")

logger: logging.Logger = logging.getLogger("roomful.hub")

OnFull: TypeAlias = Literal["tell", "refuse"]
"""Who learns that an inbox is full: its consumer, or the dispatcher."""

_KEEP: Final = Retention(events=256, max_bytes=1024 * 1024, ttl_s=60.0)
"""What a shared layer keeps, so that a process whose subscription broke reads what it missed."""

_HEARD_S: Final = 2.0
"""How long a dispatcher that wants to know waits for the layer to deliver here what it has taken."""


class _Group:
    """The consumers of one group in this process; implements `Topic`."""

    __slots__ = ("_groups", "attaching", "joining", "members", "name", "order")

    def __init__(self, name: RoomName, groups: Groups) -> None:
        self.name: RoomName = name
        self.order: Sequencer = Sequencer()
        self.members: dict[Connection, None] = {}
        self.joining: int = 0
        self.attaching: asyncio.Task[None] | None = None
        self._groups = groups

    @property
    def is_deserted(self) -> bool:
        return not self.members and not self.joining and self.attaching is None

    def deliver(self, at: Position, payload: bytes) -> None:
        """Take the next dispatch."""
        if self.order.deliver(at, payload):
            self._groups.pass_on(self, at, payload)
        elif self.order.is_behind:
            self._groups.read_on(self)

    def suspect(self) -> None:
        """Read what may have been missed."""
        self.order.suspect()
        self._groups.read_on(self)


class _Question:
    """A dispatcher that wants to know how many inboxes of this process were full."""

    __slots__ = ("full", "heard")

    def __init__(self) -> None:
        self.full = 0
        self.heard: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class Groups:
    """The groups of one hub, on one event loop.

    Args:
        producer: What this hub calls itself in the sequences of its dispatches.
        layer: Carries and numbers them.
        codec: Encodes them.
        limits: How long names may be, and how many groups a consumer may be in.
        topics: Where the layer's deliveries of other names than rooms are looked up.
        reader: Closes holes.
        counters: Where dispatches are counted.
        throttle: Of the log lines.
        start: Starts the hub.
    """

    def __init__(
        self,
        producer: str,
        layer: Layer,
        codec: Codec,
        limits: Limits,
        *,
        topics: dict[RoomName, Topic],
        reader: Reader,
        counters: Counters,
        throttle: Throttle,
        start: Callable[[], Awaitable[None]],
    ) -> None:
        self._producer = producer
        self._layer = layer
        self._codec = codec
        self._limits = limits
        self._topics = topics
        self._reader = reader
        self._counters = counters
        self._throttle = throttle
        self._start = start
        self._groups: dict[RoomName, _Group] = {}
        self._of: dict[Connection, set[RoomName]] = {}
        self._arriving: set[tuple[Connection, RoomName]] = set()
        self._leaving: set[tuple[Connection, RoomName]] = set()  # those of them that are to leave at once
        self._questions: dict[bytes, _Question] = {}

    def __len__(self) -> int:
        return len(self._groups)

    def count(self) -> int:
        """Return the number of members over all groups."""
        return sum(map(len, self._of.values()))

    # ── Members ──

    def of(self, connection: Connection) -> frozenset[RoomName]:
        """Return the groups of a connection's consumer."""
        return frozenset(self._of.get(connection, ()))

    async def join(self, connection: Connection, group: str) -> None:
        """Make a connection's consumer a member of a group. A second time changes nothing.

        Raises:
            RoomNameError: The name is too long or not printable.
            TooManyRooms: The consumer is in as many groups as the limits allow.
            ConnectionClosed: The connection ended before its consumer was a member.
            LayerError: The layer cannot deliver the group.
        """
        await self._start()
        name = self._name_of(group)
        if connection.is_closing:
            raise ConnectionClosed(connection.code)
        if name in self._of.get(connection, ()):
            return
        self._check(connection)
        entry = self._groups.get(name)
        if entry is None:
            entry = self._groups[name] = self._topics[group_topic(name)] = _Group(name, self)
            entry.attaching = asyncio.Task(self._attach(entry), loop=asyncio.get_running_loop())
        entry.joining += 1
        arriving = (connection, name)
        self._arriving.add(arriving)
        try:
            if entry.attaching is not None:
                await asyncio.shield(entry.attaching)
            if name in self._of.get(connection, ()):
                return
            self._check(connection)
            connection.ensure_open()  # not before: what is dispatched once its client is connected arrives
            entry.members[connection] = None
            self._of.setdefault(connection, set()).add(name)
        finally:
            entry.joining -= 1
            self._arriving.discard(arriving)
            if arriving in self._leaving:
                self._leaving.remove(arriving)
                self.leave(connection, group)
            self._drop_if_deserted(entry)

    def _check(self, connection: Connection) -> None:
        if len(self._of.get(connection, ())) >= self._limits.max_rooms_per_connection:
            raise TooManyRooms(self._limits.max_rooms_per_connection, "groups")

    def leave(self, connection: Connection, group: str) -> None:
        """End a membership; what was dispatched before is still handled. No member, no effect.

        The join that is being made ends with it: the consumer leaves as soon as it has arrived.

        Raises:
            RoomNameError: It cannot be a group's name.
        """
        name = self._name_of(group)
        names = self._of.get(connection, set())
        if name in names:
            names.discard(name)
            if not names:
                del self._of[connection]
            entry = self._groups[name]
            del entry.members[connection]
            self._drop_if_deserted(entry)
        elif (connection, name) in self._arriving:
            self._leaving.add((connection, name))

    def leave_all(self, connection: Connection) -> None:
        """End all memberships of a connection's consumer."""
        for name in list(self._of.get(connection, ())):
            self.leave(connection, name)

    async def _attach(self, entry: _Group) -> None:
        try:
            top = await self._layer.attach(group_topic(entry.name))
        except BaseException:
            # At once, before those who wait for it learn of it: whoever joins meanwhile must attach anew.
            entry.attaching = None
            self._drop(entry)
            raise
        entry.attaching = None
        if not entry.order.top.epoch:
            entry.order.top = top
        self._drop_if_deserted(entry)

    def _drop_if_deserted(self, entry: _Group) -> None:
        if entry.is_deserted and self._groups.get(entry.name) is entry:
            self._drop(entry)

    def _drop(self, entry: _Group) -> None:
        del self._groups[entry.name], self._topics[group_topic(entry.name)]
        self._layer.detach(group_topic(entry.name))

    def _name_of(self, group: str) -> RoomName:
        return room_name(group, max_bytes=self._limits.max_room_name_bytes, what="group name")

    # ── Out of this process ──

    async def dispatch(
        self,
        group: str,
        event: Event,
        *,
        exclude: ConnectionId | None,
        key: str | None,
        on_full: OnFull,
    ) -> Receipt:
        """Dispatch an event; see `Hub.dispatch`."""
        await self._start()
        name = self._name_of(group)
        if key is not None:
            push_key(key)
        form, body = self._codec.pack(event)
        envelope = Envelope(form, body, exclude).pack()
        if on_full == "tell":
            receipt = await self._publish(name, b"\0" + envelope, key)
        else:
            receipt = await self._ask(name, envelope, key)
        # A dispatcher in a loop would fill every inbox before any consumer had its turn.
        await asyncio.sleep(0)
        return receipt

    async def _ask(self, name: RoomName, envelope: bytes, key: str | None) -> Receipt:
        token = secrets.token_bytes(8)
        question = self._questions[token] = _Question()
        try:
            receipt = await self._publish(name, bytes((len(token),)) + token + envelope, key)
            if name in self._groups and not receipt.duplicate:
                await asyncio.wait([question.heard], timeout=_HEARD_S)
        finally:
            del self._questions[token]
            question.heard.cancel()
        if question.full:
            raise InboxFull(question.full, receipt.position)
        return receipt

    def _publish(self, name: RoomName, payload: bytes, key: str | None) -> asyncio.Future[Receipt]:
        self._counters.dispatches += 1
        seq = ProducerSeq(self._producer, self._counters.dispatches)
        keep = _KEEP if self._layer.shared else None
        return self._layer.publish(group_topic(name), payload, seq=seq, key=key, keep=keep)

    # ── Into this process ──

    def read_on(self, entry: _Group) -> None:
        """Read what the layer may have lost."""
        self._reader.read_on(
            group_topic(entry.name),
            entry.order,
            pass_on=partial(self.pass_on, entry),
            tell=partial(self._tell, entry),
            is_needed=lambda: self._groups.get(entry.name) is entry,
        )

    def pass_on(self, entry: _Group, at: Position, payload: bytes) -> None:
        """Hand a dispatch to every consumer of a group."""
        token = payload[1 : 1 + payload[0]] if payload else b""
        try:
            envelope = Envelope.unpack(payload[1 + len(token) :])
        except LayerError:
            logger.exception("group %r: dispatch %s cannot be read", entry.name, at)
            self._tell(entry, Gap("unreadable", at.epoch, ((at.offset, at.offset),)))
            return
        question = self._questions.get(token)
        item = Dispatched(entry.name, at, envelope)
        for connection in list(entry.members):
            if connection.id == envelope.exclude:
                continue
            if connection.dispatch(item, note=question is None):
                self._counters.dispatched += 1
                continue
            self._count_full(connection, entry.name)
            if question is not None:
                question.full += 1
        if question is not None and not question.heard.done():
            question.heard.set_result(None)

    def _tell(self, entry: _Group, gap: Gap) -> None:
        logger.warning(
            "group %r: consumers are told of a gap (%s) in epoch %s", entry.name, gap.reason, gap.epoch
        )
        self._counters.gaps += 1
        for connection in list(entry.members):
            connection.miss(Missed(entry.name, gap))

    def _count_full(self, connection: Connection, group: RoomName) -> None:
        self._counters.inbox_full += 1
        left_out = self._throttle.admit("inbox", asyncio.get_running_loop().time())
        if left_out is not None:
            logger.warning(
                "connection %s: inbox is full, a dispatch to group %r is not taken "
                "(%d more since the last such line)",
                connection.id,
                group,
                left_out,
            )
