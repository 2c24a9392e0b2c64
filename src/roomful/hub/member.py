"""A member of rooms: one client's socket as a state machine that callbacks drive.

    OPENING ──accept──▶ OPEN ──close, let_go──▶ CLOSING ──▶ LOST
       └──────────refuse──────────────────────────┘  (`lost` ends each of them, once)

It owns no task and no timer while it is idle. It does not know rooms by itself: `Memberships` keeps them and tells it.
"""

from __future__ import annotations

import asyncio
import logging
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from functools import partial
from typing import TYPE_CHECKING

from ..core.close_codes import CloseCode, check_close, close_code_for_status, may_come_back
from ..core.errors import ConnectionClosed, InvalidState
from ..core.names import ConnectionId, RoomName, new_connection_id
from .heartbeat import Pulse
from .outbox import Outbox
from .outlet import Outlet

if TYPE_CHECKING:
    from asyncio import TimerHandle

    from ..core.access import Gatekeeper
    from ..core.ports import FrameKind, Peer, Wire
    from .engine import Engine
    from .outbox import Entry
    from .rooms import Branch

__all__ = ("Member", "State")

logger: logging.Logger = logging.getLogger("roomful.hub")


class State(IntEnum):
    """Where a connection stands. It only ever moves forward."""

    OPENING = 0
    OPEN = 1
    CLOSING = 2
    LOST = 3


class Member(Outlet):
    """What rooms are made of: the life of a connection, from its handshake until nothing of it runs any more.

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
        "_ended",
        "_engine",
        "_flusher",
        "_state",
        "_timer",
        "guard",
        "id",
        "memberships",
        "pulse",
        "reads",
    )

    def __init__(self, engine: Engine, kind: FrameKind, make_wire: Callable[[Peer], Wire]) -> None:
        super().__init__(kind)
        self.id: ConnectionId = new_connection_id(engine.mail.node)
        self.memberships: dict[RoomName, Branch[Member]] = {}
        self.guard: Gatekeeper | None = None
        self.reads: bool = True
        self._engine = engine
        self._flusher = engine.flusher
        self._state = State.OPENING
        self._accepted = False
        self._code: int | None = None
        self._closing: tuple[int, str] | None = None
        self._timer: TimerHandle | None = None
        self._ended: asyncio.Future[None] | None = None
        self._wire: Wire = make_wire(self)
        self.pulse: Pulse | None = None if self._wire.supervises else Pulse()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} {self._state.name} rooms={len(self.memberships)}>"

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
    def kind(self) -> FrameKind:
        """The kind of frames that it gets."""
        return self._kind

    @property
    def code(self) -> int | None:
        """The close code, once the connection is closing or lost."""
        return self._code

    @property
    def own_name(self) -> str:
        """Who is present through it where nobody says otherwise: its principal, else the connection itself."""
        return (self.guard is not None and self.guard.principal.id) or self.id

    # ── The handshake ──

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
        self._engine.residents.accepted(self)

    def ensure_open(self) -> None:
        """Accept if nobody has.

        Raises:
            ConnectionClosed: It has ended or is ending.
        """
        if self._state is State.OPENING:
            self.accept(None, {})
        elif self._state is not State.OPEN:
            raise ConnectionClosed(self._code)

    def refuse(self, status: int, body: bytes, headers: Sequence[tuple[bytes, bytes]], reason: str) -> None:
        """Refuse the handshake; a connection that is already accepted is closed with the matching code."""
        if self._state is State.OPENING and self._engine.tells_browsers:
            self._accept_to_close()
        if self._state is State.OPENING:
            self._state = State.CLOSING
            self._code = close_code_for_status(status)
            self._wire.refuse(status, body, headers)
        elif self._state is State.OPEN:
            self.close(close_code_for_status(status), reason)

    def _accept_to_close(self) -> None:
        # Browsers hear no code either where none of the subprotocols that they offer is answered.
        self.accept(None if self.guard is None else self.guard.offered, {})

    def ping(self) -> None:
        """Ask the client for a sign of life."""
        self._wire.ping()

    # ── While it lives ──

    @abstractmethod
    def received(self, message: str | bytes) -> None:
        """Take a whole message of the client; see `Peer`."""

    def heard(self) -> None:
        """Note a sign of life."""
        if self.pulse is not None:
            self.pulse.heard = True

    def resumed(self) -> None:
        """Write the outbox out; once it is empty the wire is written to again."""
        if self.pulse is not None:
            self.pulse.flowing()
        super().resumed()

    def going_away(self) -> None:
        """End with all others in good order, because the server stops."""
        self._engine.begin_drain()

    # ── The end ──

    def close(self, code: int = CloseCode.NORMAL, reason: str = "") -> None:
        """Leave all rooms, write what is owed, then close. A second call does nothing.

        Raises:
            ValueError: The code must not be sent, or the reason is too long.
        """
        check_close(code, reason)
        if self._state is State.OPENING:
            # Browsers see no code of a handshake that was refused, so it is accepted first.
            self._accept_to_close()
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
            if not may_come_back(code) and code < CloseCode.UNAUTHORISED:  # or what is owed is lost untold
                code, reason = CloseCode.STALE, "no progress in writing; reconnect and resume"
            self._timer = asyncio.get_running_loop().call_later(
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
        self._engine.residents.count_let_go(self, why)
        self.write_gathered()
        self._state = State.CLOSING
        self._code = code
        self._outbox = None
        self._engine.residents.flowing(self)
        self._release()
        self._wire.close(code, reason, linger_s=self._engine.limits.linger_s)

    def lost(self, code: int, reason: str) -> None:
        """End: out of every room, nothing queued, the consumer's clean-up under way. The wire calls it once."""
        if self._flusher.flushing:
            self._flusher.after_flush(partial(self.lost, code, reason))
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
        self._engine.residents.lost(self)
        self._finish()

    def broken(self, error: Exception) -> None:
        """Know that the wire has raised in `write`: it is let go, and whoever wrote never learns of it."""
        logger.debug("connection %s: writing failed: %r", self.id, error)
        self.let_go(CloseCode.INTERNAL_ERROR, "", "broken")

    @abstractmethod
    def _finish(self) -> None:
        """Know that the socket has ended: whatever runs for it ends, and then the residents are told."""

    async def ended(self) -> None:
        """Wait until nothing of the connection runs any more."""
        if self._engine.residents.is_known(self):
            if self._ended is None:
                self._ended = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._ended)

    def finished(self) -> None:
        """Know that nothing of the connection runs any more; called by `Residents`."""
        if self.guard is not None:
            self.guard.ended()
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)

    # ── What an outlet asks ──

    def _overflowed(self, entry: Entry) -> None:
        if entry.room is not None:
            self._engine.pushing.fell_behind(self, entry.room, "disconnect")
        # A member cannot leave its rooms in the middle of a flush.
        self._flusher.after_flush(
            partial(self.let_go, CloseCode.SLOW, "outbox is full; reconnect and resume", "slow")
        )

    def _skipped(self, entry: Entry) -> None:
        assert entry.room is not None  # only what was pushed to a room is skipped
        policy = self._engine.memberships.policy_of(entry.room)
        self._engine.pushing.fell_behind(self, entry.room, policy.on_slow)

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
        owed: list[Entry] = []
        for branch in self._flusher.pending_of(self.memberships, self):
            owed.extend(branch.catch_up(self))
        return owed

    def _redirected(self) -> None:
        for branch in self.memberships.values():
            branch.writers[self] = self.writer_for(branch)
        if self._outbox is not None:
            self._engine.residents.paused(self)
            return
        self._engine.residents.flowing(self)
        self._release()
        if self._closing is not None:
            code, reason = self._closing
            self._closing = None
            self._wire.close(code, reason, linger_s=self._linger_s(code))

    def _broke(self, error: Exception) -> None:
        self._flusher.after_flush(partial(self.broken, error))

    def _release(self) -> None:
        # Nothing waits for the transport any more, because it flows or because it has ended.
        self._let_write()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
