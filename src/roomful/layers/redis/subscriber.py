"""Rooms as they come in: one subscription each, in the order of their offsets, and a doubt where a number is missing.

Subscriptions and questions travel on one connection, so that the answer to *what is the top* stands exactly between the
events before it and those behind it. It fetches nothing: whoever is told of a doubt reads the history.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final, cast

from ...core.errors import LayerAway, LayerError
from ...core.names import RoomName
from ...core.ports import Deliver, Suspect
from ...core.positions import Position
from .keys import Keys, RoomKeys
from .library import function
from .link import Link

__all__ = ("Subscriber",)

logger: Final = logging.getLogger("roomful.layer")

_TOP: Final = function("top")
_NOWHERE: Final = "?"  # no epoch is called so


class _Room:
    """A room that is delivered, or will be."""

    __slots__ = ("epoch", "keys", "name", "name_of_epoch", "next", "offset", "waiters")

    def __init__(self, name: RoomName, keys: RoomKeys) -> None:
        self.name = name
        self.keys = keys
        self.epoch = ""
        """Empty until its top is known; what comes before that is not delivered."""
        self.offset = 0
        self.name_of_epoch = b""
        self.next = b"\n"
        """How the message of the next event begins, if that comes alone."""
        self.waiters: list[asyncio.Future[Position]] = []

    def stand_at(self, epoch: str, offset: int) -> None:
        """Know the last event."""
        self.epoch, self.offset = epoch, offset
        self.name_of_epoch = epoch.encode()
        self.next = b"%b %d\n" % (self.name_of_epoch, offset + 1)


class Subscriber:
    """Delivers the rooms that are attached.

    Args:
        keys: The names of keys.
        idle_room_s: Seconds for which a room keeps its numbering; those that are attached are kept alive.
        deliver: Takes the events.
        suspect: Takes the rooms of which some may have been missed.
        reload: Loads the functions again on a link, and calls back.

    Attributes:
        deliver: As given.
        is_muted: Whether what comes is dropped, because the node is an island.
        received: Publications that have come.
        suspected: How often a room was suspected.
    """

    def __init__(
        self,
        keys: Keys,
        idle_room_s: float,
        deliver: Deliver,
        suspect: Suspect,
        reload: Callable[[Link, Callable[[LayerError | None], None]], None],
    ) -> None:
        self.deliver: Deliver = deliver
        self.is_muted: bool = False
        self.received: int = 0
        self.suspected: int = 0
        self._keys = keys
        self._idle_ms = int(idle_room_s * 1000)
        self._suspect_room = suspect
        self._reload = reload
        self._rooms: dict[bytes, _Room] = {}
        self._link: Link | None = None
        self._to_sweep: Iterator[bytes] = iter(())
        self._has_warned = False

    @property
    def room_count(self) -> int:
        """How many rooms are attached."""
        return len(self._rooms)

    def make_link(self) -> Link:
        """Return a link that brings its publications here."""
        return Link(self._published)

    # ── Rooms ──

    async def attach(self, name: RoomName) -> Position:
        """Begin to deliver a room; return the position after which all is delivered or suspected."""
        keys = self._keys.room(name)
        channel = keys.channel.encode()
        room = self._rooms.get(channel)
        is_new = room is None
        if room is None:
            room = self._rooms[channel] = _Room(name, keys)
        waiter: asyncio.Future[Position] = asyncio.get_running_loop().create_future()
        room.waiters.append(waiter)
        if self._link is not None:
            self._ask(self._link, room, subscribe=is_new)
        try:
            return await waiter
        except BaseException:
            room.waiters = [other for other in room.waiters if other is not waiter]
            if is_new and not room.waiters and not room.epoch:
                self.detach(name)
            raise

    def is_attached(self, name: RoomName) -> bool:
        """Return whether a room is delivered."""
        return self._keys.room(name).channel.encode() in self._rooms

    def expect(self, name: RoomName) -> None:
        """Deliver a room as soon as there is a link again, and suspect it then."""
        keys = self._keys.room(name)
        room = self._rooms.setdefault(keys.channel.encode(), _Room(name, keys))
        if not room.epoch:
            room.stand_at(_NOWHERE, 0)

    def unmute(self) -> None:
        """Suspect every room, now that what comes is delivered again."""
        self.is_muted = False
        for room in self._rooms.values():
            room.stand_at(_NOWHERE, 0)
            if self._link is not None:
                self._ask(self._link, room, subscribe=False)

    def detach(self, name: RoomName) -> None:
        """Cease to deliver a room."""
        keys = self._keys.room(name)
        room = self._rooms.pop(keys.channel.encode(), None)
        if room is None:
            return
        for waiter in room.waiters:
            if not waiter.done():
                waiter.set_exception(LayerError(f"room {name!r} was detached"))
        if self._link is not None:
            self._link.unsubscribe(keys.channel)

    def stop(self) -> None:
        """Deliver nothing more."""
        for room in list(self._rooms.values()):
            for waiter in room.waiters:
                if not waiter.done():
                    waiter.set_exception(LayerAway("layer was stopped"))
        self._rooms.clear()
        self._link = None

    # ── The link ──

    async def up(self, link: Link) -> None:
        """Subscribe all rooms on a new link; each whose top has moved meanwhile is suspected."""
        self._link = link
        for room in self._rooms.values():
            self._ask(link, room, subscribe=True)

    def down(self) -> None:
        """Know that nothing comes until there is another link."""
        self._link = None

    def sweep(self, count: int) -> None:
        """Ask for the tops of some more rooms: it keeps them alive, and finds what no other rule has found."""
        link = self._link
        if link is None or link.is_paused:
            return
        for _ in range(min(count, len(self._rooms))):
            channel = next(self._to_sweep, None)
            if channel is None:
                self._to_sweep = iter(list(self._rooms))
                channel = next(self._to_sweep, None)
            room = None if channel is None else self._rooms.get(channel)
            if room is not None and room.epoch:
                self._ask(link, room, subscribe=False)

    def _ask(self, link: Link, room: _Room, *, subscribe: bool) -> None:
        if subscribe:
            link.subscribe(room.keys.channel)
        link.send(
            ("FCALL", _TOP, 2, room.keys.meta, room.keys.stream, self._idle_ms),
            partial(self._asked, link, room),
        )

    def _asked(self, link: Link, room: _Room, answer: object) -> None:
        if self._rooms.get(room.keys.channel.encode()) is not room or self._link is not link:
            return
        if isinstance(answer, LayerError):
            self._not_told(link, room, answer)
            return
        epoch, top = cast("tuple[bytes, int]", answer)
        at = Position(epoch.decode(), top)
        if not room.epoch:
            room.stand_at(at.epoch, top)
        elif (room.epoch != at.epoch or room.offset != top) and not self.is_muted:
            room.stand_at(at.epoch, top)
            self._suspect(room)
        waiters, room.waiters = room.waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(at)

    def _not_told(self, link: Link, room: _Room, error: LayerError) -> None:
        if isinstance(error, LayerAway):
            return  # asked again on the next link
        if "Function not found" in str(error):
            self._reload(link, lambda problem: self._reloaded(link, room, problem))
            return
        logger.error("room %r: its state cannot be read: %s", room.name, error)
        waiters, room.waiters = room.waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_exception(LayerError(f"room {room.name!r} cannot be delivered: {error}"))
        if room.epoch:
            self._suspect(room)
        else:
            self.detach(room.name)

    def _reloaded(self, link: Link, room: _Room, problem: LayerError | None) -> None:
        if problem is not None and not isinstance(problem, LayerAway):
            self._not_told(link, room, problem)
        elif self._link is link and self._rooms.get(room.keys.channel.encode()) is room:
            self._ask(link, room, subscribe=False)

    # ── What comes ──

    def _published(self, channel: bytes, message: bytes) -> None:
        room = self._rooms.get(channel)
        if room is None or not room.epoch or self.is_muted:
            return
        self.received += 1
        if message.startswith(room.next):
            # The next event, alone in its message, as most are.
            room.offset += 1
            at = Position(room.epoch, room.offset)
            body = message[len(room.next) :]
            room.next = b"%b %d\n" % (room.name_of_epoch, room.offset + 1)
            self.deliver(room.name, at, body)
        else:
            self._take(room, message)

    def _take(self, room: _Room, message: bytes) -> None:
        head, _, body = message.partition(b"\n")
        try:
            name, first, *sizes = head.split(b" ")
            offset = int(first)
            epoch = name.decode("ascii")
            payloads = _cut(body, sizes) if sizes else (body,)
        except ValueError:
            self._warn(room)
            return
        if epoch != room.epoch or offset != room.offset + 1:
            if epoch == room.epoch and offset <= room.offset:
                return  # it was counted in when the top was asked for
            self._suspect(room)
        room.stand_at(epoch, offset + len(payloads) - 1)
        deliver = self.deliver
        for payload in payloads:
            deliver(room.name, Position(epoch, offset), payload)
            offset += 1

    def _warn(self, room: _Room) -> None:
        if not self._has_warned:
            self._has_warned = True
            logger.warning(
                "room %r: somebody else publishes on its channel; this is ignored, from now on silently",
                room.name,
            )

    def _suspect(self, room: _Room) -> None:
        self.suspected += 1
        self._suspect_room(room.name)


def _cut(body: bytes, sizes: list[bytes]) -> Sequence[bytes]:
    payloads = []
    start = 0
    for size in sizes:
        end = start + int(size)
        payloads.append(body[start:end])
        start = end
    if start != len(body):
        raise ValueError(f"message is {len(body)} bytes; its head says {start}")
    return payloads
