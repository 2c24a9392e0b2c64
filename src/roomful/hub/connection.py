"""A connection: one client's socket as a state machine that callbacks drive.

    OPENING ──accept──▶ OPEN ──close, let_go──▶ CLOSING ──▶ LOST
       └──────────refuse──────────────────────────┘  (`lost` ends each of them, once)

It owns no task and no timer while it is idle. It does not know rooms by itself: the engine keeps them and tells it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from functools import partial
from typing import TYPE_CHECKING, Final

from ..core.close_codes import CloseCode, check_close, close_code_for_status
from ..core.errors import ConnectionClosed, InvalidState
from ..core.names import ConnectionId, RoomName, new_connection_id
from .heartbeat import Pulse
from .outbox import Outbox
from .outlet import Outlet
from .turns import Turns

if TYPE_CHECKING:
    import contextvars
    from asyncio import TimerHandle

    from ..core.access import Gatekeeper
    from ..core.dispatched import Dispatched, Missed
    from ..core.envelope import Envelope
    from ..core.events import Event
    from ..core.ports import FrameKind, Handler, Joined, MessageId, Peer, Wire
    from ..core.positions import Position
    from .engine import Engine
    from .outbox import Entry
    from .rooms import Branch

__all__ = ("Connection", "State")

logger: logging.Logger = logging.getLogger("roomful.hub")


# Who holds the reading back.
_INBOX: Final = 1
_GUARD: Final = 2


class State(IntEnum):
    """Where a connection stands. It only ever moves forward."""

    OPENING = 0
    OPEN = 1
    CLOSING = 2
    LOST = 3


_OPEN: Final = State.OPEN  # looked up for every message


class Connection(Outlet):
    """Implements the ports `Peer` (towards its wire) and `Link` (towards its consumer).

    Attributes:
        id: Its address, in any process.
        memberships: The branch of each room that it is a member of; kept by `Memberships`.
        guard: What every message passes before its handler, where there is something to guard.
        pulse: What it has shown of itself, where the hub supervises its wire.
        reads: Whether its socket is read; not while too much waits for its handler, or while its guard holds it back.
    """

    __slots__ = (
        "__weakref__",
        "_accepted",
        "_closing",
        "_code",
        "_connecting",
        "_ended",
        "_engine",
        "_flusher",
        "_holders",
        "_resumes",
        "_state",
        "_timer",
        "_turns",
        "guard",
        "id",
        "memberships",
        "pulse",
        "reads",
    )

    def __init__(self, engine: Engine, kind: FrameKind, make_wire: Callable[[Peer], Wire]) -> None:
        self.id: ConnectionId = new_connection_id(engine.mail.node)
        self.reads: bool = True
        self._holders = 0
        self.guard: Gatekeeper | None = None
        super().__init__(kind)
        self.memberships: dict[RoomName, Branch[Connection]] = {}
        self._engine = engine
        self._flusher = engine.flusher
        self._state = State.OPENING
        self._accepted = False
        self._code: int | None = None
        self._connecting: asyncio.Task[object] | None = None
        self._resumes: dict[str, str] | None = None
        self._turns: Turns | None = None
        self._closing: tuple[int, str] | None = None
        self._timer: TimerHandle | None = None
        self._ended: asyncio.Future[None] | None = None
        self._wire = make_wire(self)
        self.pulse: Pulse | None = None if self._wire.supervises else Pulse()

    def __repr__(self) -> str:
        return f"<Connection {self.id} {self._state.name} rooms={len(self.memberships)}>"

    # ── Towards the endpoint, which runs `connect` ──

    @property
    def state(self) -> State:
        """Where it stands."""
        return self._state

    @property
    def is_opening(self) -> bool:
        """Whether nobody has accepted or refused it yet."""
        return self._state is State.OPENING

    @property
    def is_open(self) -> bool:
        """Whether it may be sent to."""
        return self._state is State.OPEN

    @property
    def is_closing(self) -> bool:
        """Whether it is ending or has ended."""
        return self._state >= State.CLOSING

    @property
    def is_lost(self) -> bool:
        """Whether its socket has ended."""
        return self._state is State.LOST

    @property
    def is_at_rest(self) -> bool:
        """Whether it is open, and nothing waits to be handled or to be written."""
        is_handled = self._turns is not None and not self._turns.is_busy
        return self._state is State.OPEN and is_handled and self._outbox is None

    @property
    def kind(self) -> FrameKind:
        """The kind of frames that it gets."""
        return self._kind

    @property
    def code(self) -> int | None:
        """The close code, once the connection is closing or lost."""
        return self._code

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
            ended=partial(self._engine.ended, self),
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

    async def ended(self) -> None:
        """Wait until nothing of the connection runs any more."""
        if self._engine.is_known(self):
            if self._ended is None:
                self._ended = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._ended)

    def finished(self) -> None:
        """Know that nothing of the connection runs any more; called by the engine."""
        if self.guard is not None:
            self.guard.ended()
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)

    def abandoned(self) -> None:
        """Know that `connect` will not return, because it was refused, failed or was cancelled."""
        self._connecting = None
        if self._turns is not None:
            self._turns.abandon()

    def refuse(self, status: int, body: bytes, headers: Sequence[tuple[bytes, bytes]], reason: str) -> None:
        """Refuse the handshake; a connection that is already accepted is closed with the matching code."""
        if self._state is State.OPENING and self._engine.tells_browsers:
            self.accept(None, {})
        if self._state is State.OPENING:
            self._state = State.CLOSING
            self._code = close_code_for_status(status)
            self._wire.refuse(status, body, headers)
        elif self._state is State.OPEN:
            self.close(close_code_for_status(status), reason)

    def expire(self, status: int, body: bytes, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Refuse a handshake that takes too long; one that was accepted in time may go on."""
        if self._state is State.OPENING:
            self.refuse(status, body, headers, "")

    # ── Link: towards the consumer ──

    @property
    def rooms(self) -> frozenset[RoomName]:
        """The rooms that it is a member of."""
        return frozenset(self.memberships)

    def accept(self, subprotocol: str | None, headers: Mapping[str, str]) -> None:
        """Accept the handshake.

        Raises:
            InvalidState: It has been accepted already.
            ConnectionClosed: It has ended.
            ValueError: A header or the subprotocol cannot be sent; it may be accepted again.
        """
        if self._state is State.OPEN:
            raise InvalidState("connection is accepted already; accept before the first join or send")
        if self._state is not State.OPENING:
            raise ConnectionClosed(self._code)
        lines = [(k.lower().encode("latin-1"), v.encode("latin-1")) for k, v in headers.items()]
        if subprotocol is None and self.guard is not None:
            subprotocol = self.guard.subprotocol
        self._wire.accept(subprotocol, lines)
        self._state = State.OPEN
        self._accepted = True
        self._engine.accepted(self)

    def ensure_open(self) -> None:
        """Accept if nobody has.

        Raises:
            ConnectionClosed: It has ended or is ending.
        """
        if self._state is State.OPENING:
            self.accept(None, {})
        elif self._state is not State.OPEN:
            raise ConnectionClosed(self._code)

    @property
    def own_name(self) -> str:
        """Who is present through it where nobody says otherwise: its principal, else the connection itself."""
        return (self.guard is not None and self.guard.principal.id) or self.id

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
            and not (self.memberships and self._engine.owes(self))
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
            and not (self.memberships and self._engine.owes(self))
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

    def close(self, code: int = CloseCode.NORMAL, reason: str = "") -> None:
        """Leave all rooms, write what is owed, then close. A second call does nothing.

        Raises:
            ValueError: The code must not be sent, or the reason is too long.
        """
        check_close(code, reason)
        if self._state is State.OPENING:
            # Browsers see no code of a handshake that was refused, so it is accepted first.
            self.accept(None, {})
        if self._state is not State.OPEN:
            return
        owed = self._engine.memberships.leave_all(self)
        self._state = State.CLOSING
        self._code = code
        self.write_gathered()
        if self._outbox is None:
            self.send_entries(owed)
            self._wire.close(code, reason, linger_s=self._linger_s(code))
        else:
            self._closing = (code, reason)
            self._timer = self._engine.call_later(
                self._engine.limits.close_timeout_s, partial(self.let_go, code, reason, "stuck")
            )
            self.send_entries(owed)  # the last, because it lets the member go if the outbox cannot take it

    def _linger_s(self, code: int) -> float | None:
        # A server that stops waits for its sockets, so a client that does not answer must not hold it up.
        is_ours = code == CloseCode.DRAINED and not self._wire.supervises
        return self._engine.limits.linger_s if is_ours else None

    def abort(self) -> None:
        """End the connection at once, without a close frame."""
        self._engine.memberships.leave_all(self)
        self._state = max(self._state, State.CLOSING)
        self._gathered = None
        self._wire.abort()

    def let_go(self, code: int, reason: str, why: str) -> None:
        """Discard the outbox and end the connection without waiting for its client."""
        if self._state is not State.OPEN and self._closing is None:
            return
        self._closing = None
        self._engine.memberships.leave_all(self)
        self._engine.count_let_go(self, why)
        self.write_gathered()
        self._state = State.CLOSING
        self._code = code
        self._outbox = None
        self._engine.flowing(self)
        self._release()
        self._wire.close(code, reason, linger_s=self._engine.limits.linger_s)

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

    def ping(self) -> None:
        """Ask the client for a sign of life."""
        self._wire.ping()

    def received(self, message: str | bytes) -> None:
        """Hand a message to the consumer; stop reading when too much waits for it."""
        if self.pulse is not None:
            self.pulse.heard = True
        if self._flusher.flushing:
            self._engine.after_flush(partial(self.received, message))
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

    def resumed(self) -> None:
        """Write the outbox out; once it is empty the wire is written to again."""
        if self.pulse is not None:
            self.pulse.flowing()
        super().resumed()

    def heard(self) -> None:
        """Note a sign of life."""
        if self.pulse is not None:
            self.pulse.heard = True

    def going_away(self) -> None:
        """End with all others in good order, because the server stops."""
        self._engine.begin_drain()

    def lost(self, code: int, reason: str) -> None:
        """End: out of every room, nothing queued, the consumer's clean-up under way. The wire calls it once."""
        if self._flusher.flushing:
            self._engine.after_flush(partial(self.lost, code, reason))
            return
        if self._state is State.LOST:
            return
        self._engine.memberships.leave_all(self)
        # What the server itself closed with is the better reason than what became of the socket.
        if self._code is None:
            self._code = code
        self._state = State.LOST
        self._outbox = None
        self._gathered = None
        self._closing = None
        self._release()
        logger.debug("connection %s lost with code %d", self.id, code)
        self._engine.lost(self)
        if self._connecting is not None:
            self._connecting.cancel()
        if self._turns is not None:
            self._turns.end(self._code, clean_up=self._accepted)
        else:
            self._engine.ended(self)

    def _overflowed(self, entry: Entry) -> None:
        if entry.room is not None:
            self._engine.fell_behind(self, entry.room, "disconnect")
        # A member cannot leave its rooms in the middle of a flush.
        self._engine.after_flush(
            partial(self.let_go, CloseCode.SLOW, "outbox is full; reconnect and resume", "slow")
        )

    def _skipped(self, entry: Entry) -> None:
        assert entry.room is not None  # only what was pushed to a room is skipped
        policy = self._engine.memberships.policy_of(entry.room)
        self._engine.fell_behind(self, entry.room, policy.on_slow)

    def _new_outbox(self) -> Outbox | None:
        if self._state is not State.OPEN:
            return None
        limits = self._engine.limits
        return Outbox(
            max_messages=limits.max_outbox_messages,
            max_bytes=limits.max_outbox_bytes,
            notice=self._kind.gap,
            on_skip=self._skipped,
        )

    def _owed(self) -> list[Entry]:
        return self._engine.owed(self)

    def _redirected(self) -> None:
        for branch in self.memberships.values():
            branch.writers[self] = self.writer_for(branch)
        if self._outbox is not None:
            self._engine.paused(self)
            return
        self._engine.flowing(self)
        self._release()
        if self._closing is not None:
            code, reason = self._closing
            self._closing = None
            self._wire.close(code, reason, linger_s=self._linger_s(code))

    def _broke(self, error: Exception) -> None:
        self._engine.after_flush(partial(self._engine.broken, self, error))

    def _read_on(self) -> None:
        self._let_go_of(_INBOX)

    def _hold(self, holder: int) -> None:
        self._holders |= holder
        self.reads = False
        self._wire.stop_reading()

    def _let_go_of(self, holder: int) -> None:
        # Two may hold the reading back, and it goes on when neither does.
        self._holders &= ~holder
        if not self._holders:
            self.reads = True
            self._wire.start_reading()

    def _release(self) -> None:
        # Nothing waits for the transport any more, because it flows or because it has ended.
        self._let_write()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _exceeds(message: str | bytes, max_bytes: int) -> bool:
    # A character takes at most four bytes, so most texts need not be encoded to know that they are small.
    if isinstance(message, bytes) or len(message) * 4 <= max_bytes:
        return len(message) > max_bytes
    return len(message.encode()) > max_bytes
