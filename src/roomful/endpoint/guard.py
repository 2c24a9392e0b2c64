"""The guard: stands between one connection and its handler, where there is something to guard.

It knows who is connected and until when, takes the control messages, and holds back who sends too much. All of it lives
here and not in middleware, because on the fast path no middleware sees a message.
"""

from __future__ import annotations

import asyncio
import json
import logging
from inspect import isawaitable
from typing import TYPE_CHECKING, Final

from ..auth import audit
from ..auth.bucket import Allowance
from ..core.access import ANONYMOUS, Principal
from ..core.close_codes import CloseCode
from ..core.errors import Forbidden, InvalidMessage, LayerError, NotAuthenticated, Refuse
from ..core.refusal import unauthorised
from ..wire import AUTHENTICATE, MAX_CONTROL_CHARACTERS, REFRESH, Control, may_be_control, read_control

if TYPE_CHECKING:
    from ..auth.gate import Gate, Visit
    from ..core.events import Event
    from ..core.ports import MessageId
    from ..hub import Connection

__all__ = ("Guard",)

logger: logging.Logger = logging.getLogger("roomful.endpoint")

_MAX_FAILED_REFRESHES: Final = 5
"""Tokens that do not hold which one connection may try: each costs a signature, and a guess is no refresh."""

_PAUSE_S: Final = 1.0
"""A client that has kept within its rate for so long since it was last held back begins anew."""


class Guard(Allowance):
    """Implements the ports `Gatekeeper`, `Access` and `Resident` for one connection.

    It is the allowance itself, because its connection counts every message without a call.

    Args:
        gate: The hub's.
        visit: What the gate found out at the handshake.
        connection: The connection.
        speaks_events: Whether control messages are read and sent; a consumer that owns its wire has none.
    """

    __slots__ = (
        "_address",
        "_by_first_message",
        "_connection",
        "_failures",
        "_first",
        "_gate",
        "_held_at",
        "_held_since",
        "_is_settled",
        "_speaks_events",
        "_task",
        "_timer",
        "_verifier",
        "_warned",
        "attends",
        "offered",
        "principal",
        "subprotocol",
        "watches",
    )

    def __init__(self, gate: Gate, visit: Visit, connection: Connection, *, speaks_events: bool) -> None:
        self.principal: Principal = visit.principal
        self.subprotocol: str | None = visit.subprotocol
        self.offered: str | None = visit.offered
        self._gate = gate
        self._address = visit.address
        self._connection = connection
        self._verifier = visit.verifier
        self._speaks_events = speaks_events
        self.attends: bool = speaks_events and visit.verifier is not None
        self._by_first_message = visit.needs_first_message
        self._first: asyncio.Future[Control] | None = None
        self._task: asyncio.Task[None] | None = None
        self._failures = 0
        self._warned = False
        self._is_settled = False
        self.watches: bool = self.attends or gate.rules.limits_messages
        rules, now = gate.rules, asyncio.get_running_loop().time()
        super().__init__(rules.messages_per_s, rules.bytes_per_s, rules.burst_s, now)
        self._timer: asyncio.TimerHandle | None = None
        self._held_since = 0.0
        self._held_at = float("-inf")

    def __repr__(self) -> str:
        return f"<Guard {self._connection.id} {self.principal!r}>"

    # ── The handshake ──

    async def identify(self) -> None:
        """Settle who it is, if need be by its first message, for which the connection is accepted.

        Raises:
            Refuse: Nobody is known in time, or the principal has as many connections as it may.
        """
        if self._by_first_message:
            self.principal = await self._first_principal()
        self._gate.settle(self, self.principal)
        self._is_settled = True
        audit.admitted(self._connection.id, self.principal.id, self._address)
        self._watch()

    async def _first_principal(self) -> Principal:
        assert self._verifier is not None  # who takes first messages
        self._first = asyncio.get_running_loop().create_future()
        self.attends = self.watches = True
        # Of whoever is not known, little is kept; what comes behind the first message waits in the socket.
        self._connection.bound_messages(MAX_CONTROL_CHARACTERS)
        self._connection.ensure_open()
        try:
            async with asyncio.timeout(self._gate.rules.authentication_timeout_s):
                control = await self._first
                principal = await self._verifier.verify(control.token)
        except TimeoutError:
            error = NotAuthenticated("timeout", "authentication timed out")
        except NotAuthenticated as failed:
            error = failed
        else:
            if control.id is not None:
                self._connection.reply(control.id, {"expires_in": self._seconds_to(principal.expires_at)})
            self._connection.bound_messages(None)
            return principal
        finally:
            self._first = None
            if self._timer is None:
                self._connection.release_reading()
        audit.refused(401, error.why, {}, self._address)
        raise unauthorised(error) from None

    # ── Gatekeeper ──

    def admits(self, message: str | bytes) -> bool:
        """Whether the handler gets a message that has been counted; control messages it does not."""
        if self.left < 0 and not self._hold_back():
            return False
        return not self.attends or self._attend(message)

    def _attend(self, message: str | bytes) -> bool:
        if self._first is not None and not self._first.done():
            self._take_first(self._first, message)
            return False
        if not may_be_control(message):
            return True
        assert isinstance(message, str)
        try:
            control = read_control(message)
        except InvalidMessage as error:
            self._connection.error(error.code, error.message, reply_to=error.id)
            return False
        if control is None or control.type != REFRESH:
            return True  # a reserved type that is not known here: whoever reads events says so
        self._refresh(control)
        return False

    def ended(self) -> None:
        """Forget the connection, and count it out."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._task is not None:
            self._task.cancel()
        self._gate.leave(self._address, self, self.principal if self._is_settled else ANONYMOUS)

    def _take_first(self, first: asyncio.Future[Control], message: str | bytes) -> None:
        self._connection.hold_reading()
        if len(message) > MAX_CONTROL_CHARACTERS:
            self._connection.close(CloseCode.TOO_BIG, "message is too big")
            return
        control: Control | None = None
        try:
            if isinstance(message, str) and may_be_control(message):
                control = read_control(message)
        except InvalidMessage:
            pass
        if control is None or control.type != AUTHENTICATE:
            first.set_exception(NotAuthenticated("no_first_message", f"first message is not {AUTHENTICATE}"))
        else:
            first.set_result(control)

    # ── Rates ──

    def _hold_back(self) -> bool:
        """Stop reading until there is something left again. Returns False when the client is sent away instead."""
        if self._timer is not None:
            return True  # what was on its way when the reading stopped
        loop = asyncio.get_running_loop()
        now = loop.time()
        wait_s = self.refill(now)
        if not wait_s:
            return True
        if now - self._held_at > _PAUSE_S:
            self._held_since = now
            audit.limited(self._connection.id, self.principal.id, "held back")
        self._held_at = now + wait_s
        close_after_s = self._gate.rules.close_after_s
        if close_after_s is not None and now - self._held_since >= close_after_s:
            audit.limited(self._connection.id, self.principal.id, "closed")
            self._connection.close(CloseCode.POLICY, "too many messages")
            return False
        self._connection.hold_reading()
        self._timer = loop.call_later(wait_s, self._read_on)
        return True

    def _read_on(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        wait_s = self.refill(loop.time())
        if wait_s:
            self._timer = loop.call_later(wait_s, self._read_on)
        elif self._first is None or not self._first.done():
            self._connection.release_reading()

    # ── Time ──

    def due(self) -> None:
        """Warn the client, or end the connection."""
        expires_at = self.principal.expires_at
        if expires_at is None:
            return
        if expires_at <= self._gate.clock():
            audit.expired(self._connection.id, self.principal.id)
            self._connection.close(CloseCode.UNAUTHORISED, "token is expired")
            return
        if self.attends and not self._warned:
            self._warned = True
            self._tell("roomful.expiring", expires_at)
        self._gate.watch(self, expires_at)

    def revoke(self, code: int, reason: str) -> None:
        """End, because the application says so."""
        audit.revoked(self._connection.id, self.principal.id, code)
        self._connection.close(code, reason)

    def _watch(self) -> None:
        if self.principal.expires_at is not None:
            self._warned = False
            warn_at = self.principal.expires_at - self._gate.rules.expiry_warning_s
            self._gate.watch(self, min(max(warn_at, self._gate.clock()), self.principal.expires_at))

    def _tell(self, type_: str, expires_at: float | None) -> None:
        if self._connection.is_open:
            data = {"expires_in": self._seconds_to(expires_at)}
            # Not an `Event`, whose type may not begin like this.
            self._connection.send(json.dumps({"type": type_, "data": data}, separators=(",", ":")))

    def _seconds_to(self, expires_at: float | None) -> int | None:
        return None if expires_at is None else max(0, round(expires_at - self._gate.clock()))

    # ── Refresh ──

    def _refresh(self, control: Control) -> None:
        if self._task is not None:
            self._connection.error("busy", "another refresh is under way", reply_to=control.id)
            return
        self._task = asyncio.Task(self._renew(control.token, control.id), loop=asyncio.get_running_loop())

    async def _renew(self, token: str, reply_to: MessageId | None) -> None:
        assert self._verifier is not None  # or no control message is read
        try:
            async with asyncio.timeout(self._gate.rules.authentication_timeout_s):
                principal = await self._verifier.verify(token)
            if principal.id != self.principal.id:
                raise NotAuthenticated("other_principal", "token is somebody else's")
        except NotAuthenticated as error:
            self._not_renewed(error, reply_to)
        except (LayerError, Refuse, TimeoutError):
            self._connection.error("unavailable", "token cannot be checked now; try again", reply_to=reply_to)
        except Exception:
            logger.exception("connection %s: refresh failed", self._connection.id)
            self._connection.error("internal", "the server failed to handle this message", reply_to=reply_to)
        else:
            self.principal = principal
            audit.renewed(self._connection.id, principal.id)
            self._watch()
            if reply_to is None:
                self._tell("roomful.refreshed", principal.expires_at)
            else:
                self._connection.reply(reply_to, {"expires_in": self._seconds_to(principal.expires_at)})
        finally:
            self._task = None

    def _not_renewed(self, error: NotAuthenticated, reply_to: MessageId | None) -> None:
        self._failures += 1
        audit.limited(self._connection.id, self.principal.id, f"refresh: {error.why}")
        if self._failures >= _MAX_FAILED_REFRESHES:
            self._connection.close(CloseCode.UNAUTHORISED, error.message)
        else:
            self._connection.error("unauthorised", error.message, reply_to=reply_to)

    # ── Access ──

    async def check_join(self, room: str) -> None:
        """Return if the client may join a room.

        Raises:
            Forbidden: It may not.
        """
        permissions = self._gate.permissions
        if permissions is not None:
            answer = permissions.may_join(self.principal, room)
            if (await answer if isawaitable(answer) else answer) is not True:
                raise Forbidden("not allowed to join this room")

    async def check_push(self, room: str, message: Event | str | bytes) -> None:
        """Return if the client may push to a room.

        Raises:
            Forbidden: It may not.
        """
        permissions = self._gate.permissions
        if permissions is not None:
            answer = permissions.may_push(self.principal, room, message)
            if (await answer if isawaitable(answer) else answer) is not True:
                raise Forbidden("not allowed to push to this room")
