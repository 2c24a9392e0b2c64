"""Presence: says to the layer who is in which room through this process, and tells the members who comes and goes.

It keeps one timer and at most one task, whatever the number of connections. It decides nothing about who is present:
that is `attendance` for this process, and the layer for all.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Final

from ..core.capabilities import Change, Occupants, Presence
from ..core.errors import LayerError, PolicyError, PresenceError
from ..core.names import presence_topic, who_name
from .attendance import Attendance, News
from .outbox import Entry
from .roster import Roster

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..core.limits import Limits
    from ..core.names import RoomName
    from ..core.ports import Codec, Frame, FrameKind, Layer
    from ..core.positions import Position
    from .delivery import Topic
    from .flusher import Flusher
    from .member import Member
    from .memberships import Memberships
    from .throttle import Throttle

__all__ = ("Attendants", "check_presence")

logger: logging.Logger = logging.getLogger("roomful.hub")

_AT_ONCE: Final = 64  # things that are said to the layer at one time
_RETRY_S: Final = 0.5  # after the layer could not be told or asked


class _Board:
    """What one room's members are told of presence; implements `Topic`."""

    def __init__(self, room: RoomName, attendants: Attendants) -> None:
        self.room: RoomName = room
        self.roster: Roster = Roster()
        self.asking: asyncio.Task[None] | None = None
        self._attendants = attendants

    def deliver(self, at: Position, payload: bytes) -> None:
        """Take the next change."""
        try:
            change = Change.unpack(payload)
        except LayerError:
            logger.exception("room %r: change %s of presence cannot be read", self.room, at)
            self.suspect()
            return
        if self.roster.take(at, change):
            self._attendants.tell(self.room, partial(_change, self.room, at, change))
        elif self.roster.is_behind:
            self._attendants.ask(self)

    def suspect(self) -> None:
        """Ask for all that are present."""
        self.roster.suspect()
        self._attendants.ask(self)


class Attendants:
    """Presence of one hub, on one event loop.

    Args:
        layer: Knows who is present over all processes, if any room has presence.
        codec: Encodes what somebody says of itself.
        limits: How long that may be.
        memberships: The rooms and their members.
        topics: Where the layer's deliveries of other names than rooms are looked up.
        flusher: Writes what is pending.
        throttle: Of the log lines.
    """

    def __init__(
        self,
        layer: Layer,
        codec: Codec,
        limits: Limits,
        *,
        memberships: Memberships,
        topics: dict[RoomName, Topic],
        flusher: Flusher[Member],
        throttle: Throttle,
    ) -> None:
        self._layer = layer
        self._throttle = throttle
        self._codec = codec
        self._max_info_bytes = limits.max_presence_info_bytes
        self._memberships = memberships
        self._topics = topics
        self._flusher = flusher
        self._attendance = Attendance()
        self._boards: dict[RoomName, _Board] = {}
        self._names: dict[Member, dict[RoomName, str]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._telling: asyncio.Task[None] | None = None
        self._attempt: asyncio.Future[bool] | None = None

    def __len__(self) -> int:
        return len(self._attendance)

    @property
    def _presence(self) -> Presence:
        assert isinstance(self._layer, Presence)  # the engine has seen to it, or no room has presence
        return self._layer

    # ── A room of this process ──

    async def open(self, room: RoomName) -> None:
        """Begin to follow who is present in a room.

        Raises:
            LayerError: The layer cannot say.
        """
        topic = presence_topic(room)
        board = self._boards[room] = _Board(room, self)
        self._topics[topic] = board
        try:
            await self._layer.attach(topic)
            occupants = await self._presence.occupants(room)
        except BaseException:
            self.close(room)
            raise
        if board.roster.is_behind:  # or a question that was asked meanwhile has been answered first
            board.roster.heal(occupants)
        if board.roster.is_behind:
            self.ask(board)

    def close(self, room: RoomName) -> None:
        """Follow a room no longer."""
        board = self._boards.pop(room, None)
        if board is not None:
            del self._topics[presence_topic(room)]
            self._layer.detach(presence_topic(room))
            if board.asking is not None:
                board.asking.cancel()

    async def present(self, room: str) -> Occupants:
        """Return who is present, over all processes, with all that this one has to say of it.

        Raises:
            RoomNameError: The name is too long or not printable.
            PolicyError: The room has no presence.
            LayerError: The layer cannot say.
        """
        name = self._checked(self._memberships.name_of(room))
        while not self._attendance.is_told(name) and await asyncio.shield(self._attempted()):
            pass
        return await self._presence.occupants(name)

    async def send(self, connection: Member, room: str) -> None:
        """Send a connection who is present in a room, in its place among the changes that the connection gets.

        Raises:
            RoomNameError, PolicyError, LayerError: As `present`.
            ConnectionClosed: The connection has ended or is ending.
        """
        name = self._checked(self._memberships.name_of(room))
        if name in connection.memberships:
            occupants = self._boards[name].roster.occupants
        else:
            occupants = await self.present(room)
        connection.ensure_open()
        if (frame := connection.kind.occupants(name, occupants)) is not None:
            connection.send_frame(frame)

    def said(self, room: RoomName, who: str | None, info: object) -> tuple[str | None, bytes | None]:
        """Return what a member says of itself, checked and encoded; None stands for what it does not say.

        Raises:
            PolicyError: It says something, and the room has no presence.
            PresenceError: It cannot be shown.
            NotEncodable: The info cannot be written as JSON.
        """
        if who is None and info is None:
            return None, None
        self._checked(room)
        packed = None if info is None else self._codec.pack_value(info)
        if packed is not None and len(packed) > self._max_info_bytes:
            raise PresenceError(
                f"info is {len(packed)} bytes of JSON; the limit is {self._max_info_bytes} "
                "(Limits.max_presence_info_bytes)"
            )
        return None if who is None else who_name(who), packed

    def _checked(self, room: RoomName) -> RoomName:
        if not self._memberships.policy_of(room).presence:
            raise PolicyError(f"room {room!r} has no presence; give it RoomPolicy(presence=True)")
        return room

    # ── Connections ──

    def enter(self, connection: Member, room: RoomName, who: str | None, info: bytes | None) -> None:
        """Count a member in; of one that is counted already, change its name or what it says of itself."""
        names = self._names.setdefault(connection, {})
        earlier = names.get(room)
        if earlier is not None and who in (None, earlier):
            if info is not None:
                self._attendance.describe(room, earlier, info)
        else:
            if earlier is not None:
                self.leave(connection, room)
                names = self._names.setdefault(connection, {})
            names[room] = who or connection.own_name
            self._attendance.enter(room, names[room], b"null" if info is None else info)
        self._tell_on()

    def leave(self, connection: Member, room: RoomName) -> None:
        """Count a member out, if it was counted in."""
        names = self._names.get(connection)
        who = None if names is None else names.pop(room, None)
        if names is None or who is None:
            return
        if not names:
            del self._names[connection]
        grace_s = self._memberships.policy_of(room).presence_grace_s
        self._attendance.leave(room, who, asyncio.get_running_loop().time() + grace_s)
        self._look_later()

    # ── Time ──

    def _look_later(self) -> None:
        when = self._attendance.next_look
        if when is None or (self._timer is not None and self._timer.when() <= when):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(when, self._look)

    def _look(self) -> None:
        # The timer may come a little early, by the resolution of the clock.
        now = asyncio.get_running_loop().time() if self._timer is None else self._timer.when()
        self._timer = None
        self._attendance.look(now)
        self._look_later()
        self._tell_on()

    # ── To the layer ──

    def _tell_on(self) -> None:
        if self._telling is None and self._attendance.has_news:
            self._telling = asyncio.Task(self._tell_layer(), loop=asyncio.get_running_loop())

    async def _tell_layer(self) -> None:
        try:
            while news := self._attendance.take(_AT_ONCE):
                are_told = await asyncio.gather(*map(self._say, news))
                if self._attempt is not None:
                    self._attempt.set_result(all(are_told))
                    self._attempt = None
                if not all(are_told):
                    await asyncio.sleep(_RETRY_S)
        finally:
            self._telling = None

    async def _say(self, news: News) -> bool:
        room, who, info = news
        try:
            if info is None:
                await self._presence.disappear(room, who)
            else:
                await self._presence.appear(room, who, info)
        except LayerError as error:
            self._warn(room, error)
        except Exception:
            logger.exception("room %r: the layer failed to be told who is present", room)
        else:
            self._attendance.told(news)
            return True
        self._attendance.failed(news)
        return False

    def _warn(self, room: RoomName, error: LayerError) -> None:
        left_out = self._throttle.admit("presence", asyncio.get_running_loop().time())
        if left_out is not None:
            logger.warning(
                "room %r: who is present cannot be told or asked: %s (and %d more since the last such line)",
                room,
                error,
                left_out,
            )

    def _attempted(self) -> asyncio.Future[bool]:
        """Return what is done once the layer has been told something; whether all of it could be told."""
        if self._attempt is None:
            self._attempt = asyncio.get_running_loop().create_future()
        return self._attempt

    # ── To the members ──

    def tell(self, room: RoomName, frame_of: Callable[[FrameKind], Frame | None]) -> None:
        """Add a frame to the batch of every branch; members that cannot be told are left out."""
        members = self._memberships.rooms.get(room)
        if members is None or not members.members:
            return
        for branch in members.branches.values():
            if (frame := frame_of(branch.kind)) is not None:
                branch.append(Entry(frame, room))
        self._flusher.appended(list(members.branches.values()))

    def ask(self, board: _Board) -> None:
        """Ask the layer who is present, and tell the members."""
        if board.asking is None:
            board.asking = asyncio.Task(self._ask(board), loop=asyncio.get_running_loop())

    async def _ask(self, board: _Board) -> None:
        room = board.room
        try:
            while board.roster.is_behind:
                try:
                    occupants = await self._presence.occupants(room)
                except LayerError as error:
                    self._warn(room, error)
                    await asyncio.sleep(_RETRY_S)
                    continue
                if board.roster.is_behind:  # whoever opened the room may have got an answer meanwhile
                    self._heal(board, occupants)
        finally:
            board.asking = None

    def _heal(self, board: _Board, occupants: Occupants) -> None:
        passed = board.roster.heal(occupants)
        self.tell(board.room, lambda kind: kind.occupants(board.room, occupants))
        for at, change in passed:
            self.tell(board.room, partial(_change, board.room, at, change))

    # ── The end ──

    async def stop(self) -> None:
        """Say and ask nothing more."""
        if self._attempt is not None and not self._attempt.done():
            self._attempt.set_result(False)
        if self._timer is not None:
            self._timer.cancel()
        found = (self._telling, *(board.asking for board in self._boards.values()))
        tasks = [task for task in found if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


def _change(room: RoomName, at: Position, change: Change, kind: FrameKind) -> Frame | None:
    return kind.presence(room, at, change)


def check_presence(layer: Layer) -> None:
    """See that a layer knows who is present.

    Raises:
        PolicyError: It does not.
    """
    if not isinstance(layer, Presence):
        raise PolicyError(
            f"a room policy asks for presence, and {type(layer).__name__} does not know who is present"
        )
