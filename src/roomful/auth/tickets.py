"""Tickets: one-time tokens for the handshake, for clients that can send no header.

A page asks for one over HTTP, where its credential is safe, and shows it when it connects: within seconds, and once. It
stands in the address or in the subprotocol list, where a lasting secret would be written down.

The store gets the hash of a ticket, so that whoever reads it can use none.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ..core.access import Authenticator, Principal, Scope
from ..core.errors import InvalidState, LayerError, NotAuthenticated, Refuse
from ..core.refusal import Send, refusal_response, respond, unauthorised
from . import audit
from .sources import Query, Source, Subprotocol, take_first

if TYPE_CHECKING:
    from ..core.capabilities import KeyedState

__all__ = ("TicketApp", "Tickets")

Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]

_BYTES: Final = 32
_MAX_CHARACTERS: Final = 64


class Tickets:
    """Issues tickets, and takes them at the handshake. Implements `Authenticator`.

        tickets = Tickets()
        hub = Hub(auth=tickets)

        @app.post("/ticket")
        async def ticket(user: Annotated[User, Depends(current_user)]) -> dict[str, str]:
            return {"ticket": await tickets.issue(Principal(user.name))}

    Once: of all that show one ticket, in whatever process, one gets in, also when the rest of its handshake fails.

    Args:
        ttl_s: Seconds for which a ticket holds.
        sources: Where it may stand.
        clock: The time in seconds since 1970.
    """

    takes_first_message = False

    def __init__(
        self,
        *,
        ttl_s: float = 30.0,
        sources: Sequence[Source] = (Query("ticket"), Subprotocol("roomful.ticket.")),
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not ttl_s > 0:
            raise ValueError(f"ttl_s is {ttl_s}; expected more than 0")
        self._ttl_s = ttl_s
        self._sources = tuple(sources)
        self._clock = clock
        self._state: KeyedState | None = None

    def __repr__(self) -> str:
        return f"<Tickets ttl_s={self._ttl_s:g}>"

    @property
    def ttl_s(self) -> float:
        """Seconds for which a ticket holds."""
        return self._ttl_s

    def use_state(self, state: KeyedState) -> None:
        """Take the state of the hub's layer; called when the hub is made."""
        self._state = state

    async def issue(self, principal: Principal) -> str:
        """Return a new ticket for a principal: 256 random bits, URL-safe.

        Its connection ends when the principal's own time does.

        Raises:
            InvalidState: No hub uses these tickets.
            LayerError: The layer cannot keep it.
            ValueError: The principal is nobody, or its claims cannot be written as JSON.
        """
        if principal.is_anonymous:
            raise ValueError("principal is anonymous; a ticket is for somebody")
        try:
            value = json.dumps([principal.id, principal.expires_at, dict(principal.claims)]).encode()
        except TypeError:
            raise ValueError("claims of the principal cannot be written as JSON") from None
        ticket = secrets.token_urlsafe(_BYTES)
        await self._used_state().put_once(_key(ticket), value, ttl_s=self._ttl_s)
        return ticket

    async def authenticate(self, scope: Scope) -> Principal | None:
        """Return for whom a handshake's ticket was issued, or None without a ticket.

        Raises:
            NotAuthenticated: It is not known, was used, or is too old.
        """
        ticket = take_first(self._sources, scope)
        return None if ticket is None else await self.verify(ticket)

    async def verify(self, token: str) -> Principal:
        """Return for whom a ticket was issued; a page may renew its connection with a new one.

        Raises:
            NotAuthenticated: It is not known, was used, or is too old.
        """
        if len(token) > _MAX_CHARACTERS or not token.isascii():
            raise NotAuthenticated("malformed_ticket", "ticket is not valid")
        value = await self._used_state().take_once(_key(token))
        if value is None:
            raise NotAuthenticated("unknown_ticket", "ticket is not valid")
        id_, expires_at, claims = json.loads(value)
        if expires_at is not None and expires_at <= self._clock():
            raise NotAuthenticated("expired", "token is expired")
        return Principal(id_, claims, expires_at)

    def conceal(self, scope: Scope) -> None:
        """Take the ticket out of the places of a handshake that are written down."""
        with contextlib.suppress(NotAuthenticated):
            take_first(self._sources, scope)

    def _used_state(self) -> KeyedState:
        if self._state is None:
            raise InvalidState("no hub uses these tickets; make it with Hub(auth=tickets)")
        return self._state


class TicketApp:
    """An ASGI application that answers a `POST` with a ticket, for bare ASGI.

    The answer is `{"ticket": "…", "expires_in": 30}`; without a credential that holds it is 401.

    Args:
        tickets: What issues them.
        auth: Finds out who asks, such as `JwtAuth`.
    """

    def __init__(self, tickets: Tickets, *, auth: Authenticator) -> None:
        self._tickets = tickets
        self._auth = auth

    def __repr__(self) -> str:
        return f"<TicketApp {self._auth!r}>"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one `http` scope (ASGI 3)."""
        del receive  # a body would have no meaning
        if scope["type"] != "http":
            raise ValueError(f"scope type is {scope['type']!r}; expected 'http'")
        try:
            if scope["method"] != "POST":
                raise Refuse(405, "POST here", headers={"Allow": "POST"})
            principal = await self._auth.authenticate(scope)
            if principal is None:
                raise NotAuthenticated("missing", "credential is missing")
            ticket = await self._tickets.issue(principal)
        except NotAuthenticated as error:
            audit.refused(401, error.why, scope)
            refusal = unauthorised(error)
        except Refuse as refused:
            refusal = refused
        except LayerError:
            refusal = Refuse(503, "tickets are not available", headers={"Retry-After": "5"})
        else:
            body = json.dumps({"ticket": ticket, "expires_in": self._tickets.ttl_s}).encode()
            headers = [
                (b"content-type", b"application/json"),
                (b"content-length", b"%d" % len(body)),
                (b"cache-control", b"no-store"),
            ]
            await respond(send, 200, body, headers)
            return
        await respond(send, *refusal_response(refusal.status, refusal.reason, refusal.headers))


def _key(ticket: str) -> str:
    return f"roomful:ticket:{hashlib.sha256(ticket.encode()).hexdigest()}"
