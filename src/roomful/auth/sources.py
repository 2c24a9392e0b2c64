"""Sources: where a handshake may carry a secret.

Each takes the secret out of the places that are commonly logged or sent back; what it means is not asked here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import unquote_plus

from ..core.access import SCOPE_OUTER, SUBPROTOCOL, Scope
from ..core.errors import NotAuthenticated
from ..core.refusal import offered_subprotocol
from .headers import values_of

__all__ = (
    "Cookie",
    "Header",
    "Query",
    "Source",
    "Subprotocol",
    "subprotocol_of",
    "take_first",
)

_OTHERS_ANSWERED: Final = "roomful.subprotocol"


class Source(Protocol):
    """One place in a handshake."""

    def take(self, scope: Scope) -> str | None:
        """Return the secret that stands there, or None.

        Raises:
            NotAuthenticated: There are several, or it cannot be one.
        """


@dataclass(frozen=True, slots=True)
class Header:
    """`Authorization: Bearer <token>`; what programs send. Browsers let a page set no headers."""

    def take(self, scope: Scope) -> str | None:
        """Return the token. The header stays, because a framework's own security classes read it."""
        parts = [value.partition(b" ") for value in values_of(scope, b"authorization")]
        tokens = [rest.strip() for scheme, _, rest in parts if scheme.lower() == b"bearer"]
        return _one([token.decode("latin-1") for token in tokens])


@dataclass(frozen=True, slots=True)
class Cookie:
    """A cookie, which browsers send by themselves, also for pages of others: it needs the check of origins.

    Args:
        name: The cookie's name.
    """

    name: str

    def take(self, scope: Scope) -> str | None:
        """Return the cookie's value. The header stays."""
        found = []
        for value in values_of(scope, b"cookie"):
            for pair in value.decode("latin-1").split(";"):
                name, separator, content = pair.partition("=")
                if separator and name.strip() == self.name:
                    found.append(content.strip().strip('"'))
        return _one(found)


@dataclass(frozen=True, slots=True)
class Subprotocol:
    """An entry of the subprotocol list, as `new WebSocket(url, ["roomful", "roomful.token.…"])` sends it.

    The secret is taken out of the list, so that it is never answered; the answer is `roomful`, or the first other
    subprotocol that the client offers.

    Args:
        prefix: What stands before the secret.
    """

    prefix: str = "roomful.token."

    def take(self, scope: Scope) -> str | None:
        """Return the secret, and take it out of the list and its header."""
        offered: list[str] = list(scope.get("subprotocols") or ())
        found = [name for name in offered if name.startswith(self.prefix)]
        if not found:
            return None
        others = [name for name in offered if not name.startswith(self.prefix)]
        inner: Scope | None = scope
        while inner is not None:
            inner["subprotocols"] = others
            inner["headers"] = [
                (name, ", ".join(others).encode("latin-1") if name == b"sec-websocket-protocol" else value)
                for name, value in inner.get("headers") or ()
            ]
            inner = inner.get(SCOPE_OUTER)
        scope[_OTHERS_ANSWERED] = True
        return _one([name.removeprefix(self.prefix) for name in found])


@dataclass(frozen=True, slots=True)
class Query:
    """A parameter of the address. Servers, proxies and browsers write addresses down: for what holds once, not longer.

    Args:
        name: The parameter's name.
    """

    name: str = "token"

    def take(self, scope: Scope) -> str | None:
        """Return the parameter, and take it out of the query."""
        query: bytes = scope.get("query_string") or b""
        own = self.name.encode()
        if own not in query:
            return None
        pairs = query.split(b"&")
        found = [pair for pair in pairs if pair.partition(b"=")[0] == own]
        if not found:
            return None
        rest = b"&".join(pair for pair in pairs if pair not in found)
        inner: Scope | None = scope
        while inner is not None:
            inner["query_string"] = rest
            inner = inner.get(SCOPE_OUTER)
        return _one([unquote_plus(pair.partition(b"=")[2].decode("latin-1")) for pair in found])


def subprotocol_of(scope: Scope) -> str | None:
    """Return what a handshake is answered with where nobody names another: ours, if it is offered.

    Where `Subprotocol` found its secret there, another one will do as well: a browser wants one of them answered.
    """
    offered = offered_subprotocol(scope)
    return offered if offered == SUBPROTOCOL or _OTHERS_ANSWERED in scope else None


def take_first(sources: Sequence[Source], scope: Scope) -> str | None:
    """Return the secret of the first source that has one.

    All are asked, so that secrets are taken out of each.

    Raises:
        NotAuthenticated: One has several, or what cannot be one.
    """
    found: str | None = None
    problem: NotAuthenticated | None = None
    for source in sources:
        try:
            secret = source.take(scope)
        except NotAuthenticated as error:
            problem = problem or error
        else:
            found = secret if found is None else found
    if problem is not None:
        raise problem
    return found


def _one(found: list[str]) -> str | None:
    # Of two, one might be somebody else's: a cookie of a neighbouring host, a header that a proxy let pass.
    if len(found) > 1:
        raise NotAuthenticated("several")
    return found[0] if found else None
