"""The gate: what a hub asks before it lets a connection in, and what it remembers of those who are in.

One order for every handshake: how many, from which page, who. It sees scopes, not sockets; who is in is a `Resident`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..core.access import (
    ANONYMOUS,
    SCOPE_PRINCIPAL,
    SCOPE_VERIFIER,
    Authenticator,
    Concealing,
    Permissions,
    Principal,
    Prompt,
    Scope,
    Verifier,
)
from ..core.errors import NotAuthenticated, Refuse
from ..core.refusal import offered_subprotocol, unauthorised
from . import audit
from .addresses import Addresses
from .admission import Admission, Census
from .deadlines import Deadlines
from .origins import Origins
from .sources import subprotocol_of

__all__ = ("Gate", "Resident", "Visit")


class Resident(Protocol):
    """A connection that is in, as the gate sees it. Hashable."""

    def __hash__(self) -> int: ...

    def due(self) -> None:
        """Know that the time has come which was asked for with `Gate.watch`."""

    def revoke(self, code: int, reason: str) -> None:
        """End, because the application says so."""


@dataclass(slots=True)
class Visit:
    """A handshake that may go on.

    Attributes:
        address: Where the client is; counted.
        principal: Who it is; anonymous where nobody asked, or where its first message will tell.
        verifier: What can renew the principal, if anything.
        needs_first_message: Whether the first message has to say who it is.
        subprotocol: What the handshake is answered with unless the consumer says otherwise.
        offered: What it is answered with when it is accepted only to be closed.
    """

    address: str | None
    principal: Principal
    verifier: Verifier | None
    needs_first_message: bool
    subprotocol: str | None
    offered: str | None


class Gate:
    """Lets handshakes in or refuses them.

    It belongs to the running event loop; on a new one nobody is in.

    Args:
        auth: Who finds out who it is, asked in this order; without, nobody is asked.
        origins: Which pages may open a socket.
        permissions: What a principal may do; without, everything.
        rules: How many, how fast.
        clock: The time in seconds since 1970.
    """

    def __init__(
        self,
        *,
        auth: Sequence[Authenticator] = (),
        origins: Origins | None = None,
        permissions: Permissions | None = None,
        rules: Admission | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.clock: Callable[[], float] = clock
        self.permissions: Permissions | None = permissions
        self.rules: Admission = rules or Admission()
        self._auth = tuple(auth)
        self._verifiers = tuple(one for one in self._auth if isinstance(one, Verifier))
        # A deadline costs as much as half of a token's check, so it is set where somebody may have to be waited for.
        self._may_wait = not all(isinstance(one, Prompt) and one.never_waits for one in self._auth)
        self._first_message = any(one.takes_first_message for one in self._verifiers)
        self._verifier = self._verifiers[0] if len(self._verifiers) == 1 else _Each(self._verifiers)
        self._origins = origins or Origins()
        self._addresses = Addresses(self.rules.trusted_proxies)
        # Where nothing is counted, nobody is asked and no subprotocol is offered, a connection needs no guard.
        self._is_plain = (
            not self._auth
            and permissions is None
            and self.rules == Admission(tell_browsers=self.rules.tell_browsers)
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<Gate auth={list(self._auth)!r}>"

    # ── Handshakes ──

    async def admit(self, scope: Scope) -> Visit | None:
        """Let a handshake go on. Returns None where there is nothing to remember of it.

        What is counted in must be counted out, by `leave` or `turn_back`.

        Raises:
            Refuse: It may not; the audit log has the reason.
        """
        self._bind()
        address = self._addresses.of(scope)
        try:
            if self._is_plain and SCOPE_PRINCIPAL not in scope and not scope.get("subprotocols"):
                self._check_origin(scope)
                return None
            self._census.enter(address, asyncio.get_running_loop().time())
            try:
                self._check_origin(scope)
                return await self._identified(address, scope)
            except BaseException:
                self._census.leave(address, "")
                raise
        except NotAuthenticated as error:
            self.conceal(scope)
            audit.refused(401, error.why, scope, address)
            raise unauthorised(error) from None
        except Refuse as refusal:
            self.conceal(scope)
            audit.refused(refusal.status, refusal.reason, scope, address)
            raise

    def conceal(self, scope: Scope) -> None:
        """Take all secrets out of a handshake: what is refused stands in logs, and a subprotocol may be answered."""
        for one in self._auth:
            if isinstance(one, Concealing):
                one.conceal(scope)

    def _check_origin(self, scope: Scope) -> None:
        if not self._origins.allow(scope):
            raise Refuse(403, "origin is not allowed")

    async def _identified(self, address: str | None, scope: Scope) -> Visit:
        principal, verifier = await self._principal(scope)
        needs_first_message = False
        if principal is None and self._auth and not self.rules.anonymous:
            if not self._first_message:
                raise NotAuthenticated("missing", "credential is missing")
            needs_first_message = True
        scope[SCOPE_PRINCIPAL] = principal = principal or ANONYMOUS
        if scope.get("subprotocols"):
            self.conceal(scope)  # who was not asked may have its secret among them
        answer, offered = subprotocol_of(scope), offered_subprotocol(scope)
        return Visit(address, principal, verifier, needs_first_message, answer, offered)

    async def _principal(self, scope: Scope) -> tuple[Principal | None, Verifier | None]:
        found = scope.get(SCOPE_PRINCIPAL)
        if isinstance(found, Principal) and not found.is_anonymous:
            return found, scope.get(SCOPE_VERIFIER)  # middleware has asked already
        verifier = self._verifier if self._verifiers else None
        if not self._may_wait:
            return await self._ask(scope), verifier
        try:
            async with asyncio.timeout(self.rules.authentication_timeout_s):
                return await self._ask(scope), verifier
        except TimeoutError:
            raise Refuse(503, "authentication timed out", headers=self.rules.retry_after) from None

    async def _ask(self, scope: Scope) -> Principal | None:
        for one in self._auth:
            if (principal := await one.authenticate(scope)) is not None:
                return principal
        return None

    # ── Those who are in ──

    def settle(self, resident: Resident, principal: Principal) -> None:
        """Know who a resident is.

        Raises:
            Refuse: This principal has as many connections as it may.
        """
        if not principal.is_anonymous:
            self._census.identify(principal.id)
            self._residents.setdefault(principal.id, set()).add(resident)

    def turn_back(self, visit: Visit) -> None:
        """Count a handshake out of which no connection has come."""
        self._census.leave(visit.address, "")

    def leave(self, address: str | None, resident: Resident, principal: Principal) -> None:
        """Count a connection out, and forget the resident."""
        self._deadlines.discard(resident)
        residents = self._residents.get(principal.id, set())
        settled = resident in residents
        residents.discard(resident)
        if settled and not residents:
            del self._residents[principal.id]
        self._census.leave(address, principal.id if settled else "")
        if self._timer is not None and not len(self._deadlines):
            self._timer.cancel()
            self._timer = None

    def find(self, principal: str) -> Iterable[Resident]:
        """Return the connections of a principal."""
        self._bind()
        return tuple(self._residents.get(principal, ()))

    def watch(self, resident: Resident, at: float) -> None:
        """Call a resident's `due` within a second after a time, in seconds since 1970. One time each."""
        self._deadlines.put(resident, at)
        if self._timer is None or at < self._timer_at:
            self._schedule()

    def _bind(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            # Whoever was in is gone with its loop.
            self._loop = loop
            self._census = Census(self.rules, loop.time())
            self._residents: dict[str, set[Resident]] = {}
            self._deadlines: Deadlines[Resident] = Deadlines()
            self._timer = None
            self._timer_at = 0.0

    def _schedule(self) -> None:
        at = self._deadlines.next()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if at is not None and self._loop is not None:
            self._timer_at = at
            self._timer = self._loop.call_later(max(0.0, at - self.clock()), self._tick)

    def _tick(self) -> None:
        self._timer = None
        for resident in self._deadlines.due(self.clock()):
            resident.due()
        self._schedule()


class _Each:
    """Several verifiers as one: what one does not take another may."""

    takes_first_message = False

    def __init__(self, verifiers: Sequence[Verifier]) -> None:
        self._verifiers = verifiers

    async def verify(self, token: str) -> Principal:
        """Return what the first one says that takes the token, or the first one's error."""
        first: NotAuthenticated | None = None
        for verifier in self._verifiers:
            try:
                return await verifier.verify(token)
            except NotAuthenticated as error:
                first = first or error
        raise first or NotAuthenticated("malformed")
