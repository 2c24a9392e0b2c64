"""A connection: a member of rooms, as its consumer and its wire see it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Final

from ..core.close_codes import CloseCode
from ..core.errors import InvalidState
from ..core.names import RoomName
from .member import Member, State
from .turns import Turns

if TYPE_CHECKING:
    import contextvars

    from ..core.dispatched import Dispatched, Missed
    from ..core.envelope import Envelope
    from ..core.events import Event
    from ..core.ports import FrameKind, Handler, Joined, MessageId, Peer, Wire
    from ..core.positions import Position
    from .engine import Engine

__all__ = ("Connection",)

# Who holds the reading back.
_INBOX: Final = 1
_GUARD: Final = 2


_OPEN: Final = State.OPEN  # looked up for every message


class Connection(Member):
    """Implements the ports `Peer` (towards its wire) and `Link` (towards its consumer)."""

    __slots__ = ("_connecting", "_holders", "_resumes", "_turns")

    def __init__(self, engine: Engine, kind: FrameKind, make_wire: Callable[[Peer], Wire]) -> None:
        super().__init__(engine, kind, make_wire)
        self._holders = 0
        self._resumes: dict[str, str] | None = None
        self._connecting: asyncio.Task[object] | None = None
        self._turns: Turns | None = None

    # ── Towards the endpoint, which runs `connect` ──

    def attach(self, handler: Handler, connecting: asyncio.Task[object]) -> None:
        """Give the connection its consumer, before anything else is called.

        Args:
            handler: The consumer.
            connecting: The task that runs `connect`; cancelled when the connection is lost meanwhile.
        """
        self._connecting = connecting
        self._turns = Turns(
            self.id,
            handler,
            limits=self._engine.limits,
            counters=self._engine.counters,
            read_on=self._read_on,
            ended=partial(self._engine.residents.ended, self),
            parking=self._engine.parking,
        )

    def connected(self, context: contextvars.Context) -> None:
        """Know that `connect` has returned: accept if nobody has, and take what has been received."""
        if self._turns is None:
            raise InvalidState("connection has no handler")
        self._connecting = None
        if self._state is State.LOST:
            self._turns.abandon()
            return
        if self._state is State.OPENING:
            self.accept(None, {})
        self._turns.begin(context)

    @property
    def is_at_rest(self) -> bool:
        """Whether it is open, and nothing waits to be handled or to be written."""
        is_handled = self._turns is not None and not self._turns.is_busy
        return self._state is State.OPEN and is_handled and self._outbox is None

    def abandoned(self) -> None:
        """Know that `connect` will not return, because it was refused, failed or was cancelled."""
        self._connecting = None
        if self._turns is not None:
            self._turns.abandon()

    # ── Link: towards the consumer ──

    @property
    def rooms(self) -> frozenset[RoomName]:
        """The rooms that it is a member of."""
        return frozenset(self.memberships)

    async def join(
        self, room: str, *, since: Position | str | None = None, who: str | None = None, info: object = None
    ) -> Joined:
        """Become a member; see `Engine.join`. Without `since` it resumes where its client said that it was."""
        if since is not None or not self._resumes or not isinstance(room, str):
            return await self._engine.join(self, room, since, who=who, info=info)
        joined = await self._engine.join(self, room, self._resumes.get(room), who=who, info=info)
        # Only now: a join that failed may be tried again, and what was missed is still owed then.
        self._resumes.pop(room, None)
        return joined

    async def send_presence(self, room: str) -> None:
        """Send who is present in a room, in its place among the changes; see `Attendants.send`."""
        await self._engine.start()
        await self._engine.attendants.send(self, room)

    def resume(self, positions: Mapping[str, str]) -> None:
        """Know where the client stood in each room; each is used once, by the first join of that room that succeeds."""
        self._resumes = dict(positions) or None

    @property
    def groups(self) -> frozenset[RoomName]:
        """The groups that its consumer is in."""
        return self._engine.groups.of(self)

    async def join_group(self, group: str) -> None:
        """Make its consumer a member of a group; see `Groups.join`."""
        await self._engine.groups.join(self, group)

    def leave_group(self, group: str) -> None:
        """End its consumer's membership of a group; what was dispatched before is still handled."""
        self._engine.groups.leave(self, group)

    def dispatch(self, item: Dispatched, *, note: bool) -> bool:
        """Hand a dispatch to the consumer; see `Turns.dispatch`."""
        return self._turns is None or self._turns.dispatch(item, note=note)

    def miss(self, missed: Missed) -> None:
        """Tell the consumer what it will not get of a group."""
        if self._turns is not None:
            self._turns.dispatch(missed, note=True)

    def leave(self, room: str) -> None:
        """Cease to be a member of a room; what was pushed before still comes."""
        self._engine.memberships.leave(self, room)

    def send(self, message: Event | str | bytes) -> None:
        """Send to this connection, behind all that was pushed to its rooms before.

        Raises:
            ConnectionClosed: It has ended or is ending.
            NotEncodable: The event's data cannot be written as JSON.
        """
        frame = self._kind.direct(message)
        self.ensure_open()
        self.send_frame(frame)

    def send_packed(self, envelope: Envelope) -> None:
        """Send to this connection what was encoded already.

        Raises:
            ConnectionClosed: It has ended or is ending.
        """
        self.ensure_open()
        self.send_frame(self._kind.packed(envelope))

    def offer(self, message: Event | str | bytes) -> asyncio.Future[None] | None:
        """Send as `send` does, unless the outbox is crowded; then return what is done once it is not, to try again."""
        if (
            self._state is _OPEN
            and self._outbox is None
            and not (self.memberships and self._flusher.pending_of(self.memberships, self))
        ):
            self._answer(self._kind.direct_alone(message))
        elif (crowded := self.room_to_write()) is not None:
            return crowded
        else:
            self.send(message)
        return None

    def reply(self, reply_to: MessageId, value: object) -> None:
        """Answer a message; a connection that has ended gets nothing."""
        if (
            self._state is _OPEN
            and self._outbox is None
            and not (self.memberships and self._flusher.pending_of(self.memberships, self))
        ):
            self._answer(self._kind.reply_alone(reply_to, value))
            return
        frame = self._kind.reply(reply_to, value)
        if self._state is _OPEN:
            self.send_frame(frame)

    def error(self, code: str, message: str, *, reply_to: MessageId | None = None) -> None:
        """Say what was wrong with a message; a connection that has ended gets nothing."""
        if self._state is State.OPEN:
            self.send_frame(self._kind.error(code, message, reply_to=reply_to))

    def _answer(self, data: object) -> None:
        """Write to this connection, where nothing is owed or queued; gather while more messages of its client wait."""
        turns = self._turns
        if self._wire.has_more or (turns is not None and turns.inbox):
            if self._gather(data):
                self._flusher.gathers(self.write_gathered)
        elif self._gathered is not None:
            self._gather(data)
            self.write_gathered()
        else:
            # As `_write_data`, without a call: this is the way of most answers.
            try:
                self._wire.write(data)
            except Exception as error:  # noqa: BLE001 -- as there
                self._broke(error)

    # ── Towards its guard ──

    def hold_reading(self) -> None:
        """Take no more from the socket until `release_reading`, so that TCP holds the client back."""
        self._hold(_GUARD)

    def release_reading(self) -> None:
        """Read on, unless too much waits for the handler."""
        self._let_go_of(_GUARD)

    def bound_messages(self, max_bytes: int | None) -> None:
        """Take no larger message from the client; None for what the limits say."""
        self._wire.bound_messages(max_bytes)

    # ── Peer: towards the wire ──

    def received(self, message: str | bytes) -> None:
        """Hand a message to the consumer; stop reading when too much waits for it."""
        if self.pulse is not None:
            self.pulse.heard = True
        if self._flusher.flushing:
            self._flusher.after_flush(partial(self.received, message))
        elif self._state <= _OPEN and self._turns is not None:
            limit = self._engine.limits.max_message_bytes
            if len(message) * 4 > limit and _exceeds(message, limit):
                self.close(CloseCode.TOO_BIG, "message is too big")
                return
            if (guard := self.guard) is not None and guard.watches:
                guard.left = left = guard.left - guard.message_cost - (len(message) >> guard.byte_shift)
                if (left < 0 or guard.attends) and not guard.admits(message):
                    return
            if not self._turns.offer(message):
                self._hold(_INBOX)

    def _finish(self) -> None:
        if self._connecting is not None:
            self._connecting.cancel()
        if self._turns is None:
            self._engine.residents.ended(self)
        else:
            self._turns.end(self._code or CloseCode.ABNORMAL, clean_up=self._accepted)

    def _read_on(self) -> None:
        self._let_go_of(_INBOX)

    def _hold(self, holder: int) -> None:
        self._holders |= holder
        self.reads: bool = False
        self._wire.stop_reading()

    def _let_go_of(self, holder: int) -> None:
        # Two may hold the reading back, and it goes on when neither does.
        self._holders &= ~holder
        if not self._holders:
            self.reads = True
            self._wire.start_reading()


def _exceeds(message: str | bytes, max_bytes: int) -> bool:
    # A character takes at most four bytes, so most texts need not be encoded to know that they are small.
    if isinstance(message, bytes) or len(message) * 4 <= max_bytes:
        return len(message) > max_bytes
    return len(message.encode()) > max_bytes
