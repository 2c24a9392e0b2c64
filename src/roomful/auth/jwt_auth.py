"""JWT at the door: an authenticator of a hub, and the same as ASGI middleware.

Where the token may stand is decided by `sources`, whether it holds by `tokens`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
from typing import Any, TypeAlias

from ..core.access import ANONYMOUS, SCOPE_PRINCIPAL, SCOPE_VERIFIER, Principal, Scope
from ..core.errors import InvalidState, NotAuthenticated, Refuse
from ..core.refusal import Send, refuse_handshake, unauthorised
from . import audit
from .sources import Header, Source, Subprotocol, subprotocol_of, take_first
from .tokens import Key, KeySource, Tokens

__all__ = ("JwtAuth", "LoadUser")

Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
LoadUser: TypeAlias = Callable[[Principal], Awaitable[object]]
"""Returns the application's own user, or None when there is none any more."""


class JwtAuth:
    """Finds out by a JWT who connects.

    As the authenticator of a hub it guards the hub's consumers. As middleware around an ASGI application it guards each
    WebSocket of that application, and passes everything else on as it is: requests are the framework's own business.

        hub = Hub(auth=JwtAuth(key=SECRET, algorithms=["HS256"]))
        application = JwtAuth(URLRouter([...]), key=SECRET, algorithms=["HS256"])

    Who it is stands in `scope["roomful"]`, and in `self.principal` of a consumer.

    Args:
        app: The application, where it is middleware.
        key: A secret or PEM; several of them by their `kid`; or `Jwks`.
        algorithms: Those that are allowed, all of one family.
        issuer: The `iss`, or several, of which one must be there.
        audience: The `aud`, or several, of which one must be there. Without, a token that has one does not hold.
        leeway_s: By how much clocks may differ.
        required_claims: Claims that must be there. Without `exp` a connection never ends by itself.
        id_claim: Which claim is the principal's id.
        sources: Where the token may stand, in this order.
        first_message: Whether it may also come as the first message, `roomful.authenticate`, to consumers that speak
            events. Not for middleware, which sees no messages.
        load_user: Awaited with each principal. What it returns stands in `scope["user"]`; None refuses, so that it can
            also ask whether a token has been revoked.
        required: For middleware: whether a handshake without a token is refused.
        tell_browsers: For middleware: whether what is refused is accepted first and then closed with 4500, which a page
            can read.

    Raises:
        ValueError: An algorithm is not known, families are mixed, a key does not fit, or middleware is to read
            messages.
    """

    def __init__(
        self,
        app: App | None = None,
        *,
        key: Key | Mapping[str, Key] | KeySource,
        algorithms: Iterable[str],
        issuer: str | Sequence[str] | None = None,
        audience: str | Iterable[str] | None = None,
        leeway_s: float = 0.0,
        required_claims: Iterable[str] = ("exp",),
        id_claim: str = "sub",
        sources: Sequence[Source] = (Header(), Subprotocol()),
        first_message: bool = False,
        load_user: LoadUser | None = None,
        required: bool = True,
        tell_browsers: bool = False,
    ) -> None:
        if app is not None and first_message:
            raise ValueError("middleware sees no messages; use Hub(auth=JwtAuth(…, first_message=True))")
        self.takes_first_message: bool = first_message
        self._app = app
        self._tokens = Tokens(
            key=key,
            algorithms=algorithms,
            issuer=issuer,
            audience=audience,
            leeway_s=leeway_s,
            required=required_claims,
            id_claim=id_claim,
        )
        self._sources = tuple(sources)
        self._load_user = load_user
        self._required = required
        self._tell_browsers = tell_browsers

    def __repr__(self) -> str:
        return f"<JwtAuth {self._tokens!r}>"

    # ── Authenticator and Verifier ──

    @property
    def never_waits(self) -> bool:
        """Whether neither a key nor a user has to be waited for. A subclass may wait for anything."""
        return type(self) is JwtAuth and self._load_user is None and self._tokens.never_waits

    async def authenticate(self, scope: Scope) -> Principal | None:
        """Return who the token of a handshake says that it is, or None without a token.

        Raises:
            NotAuthenticated: The token does not hold.
            Refuse: The keys cannot be had now.
        """
        token = take_first(self._sources, scope)
        if token is None:
            return None
        principal, user = await self._verify(token)
        if user is not None:
            scope["user"] = user
        return principal

    async def verify(self, token: str) -> Principal:
        """Return who a token says that it is.

        Raises:
            NotAuthenticated: It does not hold.
            Refuse: The keys cannot be had now.
        """
        return (await self._verify(token))[0]

    def conceal(self, scope: Scope) -> None:
        """Take the token out of the places of a handshake that are written down."""
        with contextlib.suppress(NotAuthenticated):
            take_first(self._sources, scope)

    async def _verify(self, token: str) -> tuple[Principal, object]:
        principal = await self._tokens.verify(token)
        if self._load_user is None:
            return principal, None
        user = await self._load_user(principal)
        if user is None:
            raise NotAuthenticated("unknown_user", "token is not valid")
        return principal, user

    # ── Middleware ──

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection scope (ASGI 3).

        Raises:
            InvalidState: It was made without an application.
        """
        if self._app is None:
            raise InvalidState("JwtAuth has no application; make it as JwtAuth(app, key=…, algorithms=[…])")
        if scope["type"] != "websocket":
            await self._app(scope, receive, send)
            return
        try:
            principal = await self.authenticate(scope)
            if principal is None and self._required:
                raise NotAuthenticated("missing", "credential is missing")
        except NotAuthenticated as error:
            audit.refused(401, error.why, scope)
            await self._refuse(scope, receive, send, unauthorised(error))
        except Refuse as refusal:
            audit.refused(refusal.status, refusal.reason, scope)
            await self._refuse(scope, receive, send, refusal)
        else:
            scope[SCOPE_PRINCIPAL] = principal or ANONYMOUS
            scope[SCOPE_VERIFIER] = self
            await self._app(scope, receive, _answering(send, subprotocol_of(scope)))

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, refusal: Refuse) -> None:
        if self._tell_browsers and (await receive())["type"] != "websocket.connect":
            return  # the client went before its handshake
        await refuse_handshake(send, scope, refusal, tell_browsers=self._tell_browsers)


def _answering(send: Send, subprotocol: str | None) -> Send:
    """Return a `send` that names the subprotocol where the application names none."""
    if subprotocol is None:
        return send

    async def answering(event: MutableMapping[str, Any]) -> None:
        if event["type"] == "websocket.accept" and not event.get("subprotocol"):
            event = {**event, "subprotocol": subprotocol}
        await send(event)

    return answering
