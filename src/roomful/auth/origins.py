"""Origins: which pages may open a socket (RFC 6455 §10.2, CWE-1385).

A browser sends cookies with a handshake whatever page asks for it, and says which page that is in `Origin`. So a
handshake with an `Origin` needs one that is allowed. It decides nothing about clients that are no browsers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from .headers import values_of

__all__ = ("Origins",)

_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}


class Origins:
    """Pages of the host that the handshake asks for, and those that are allowed beside them.

    Args:
        allowed: `https://app.example.com`, exactly so; `https://*.example.com` for every subdomain, not the domain
            itself; `null` for pages without an origin, such as files; `*` for all.
        required: Whether a handshake without an `Origin` is refused too. Browsers always send one.

    Raises:
        ValueError: A text is no origin.
    """

    __slots__ = ("_any", "_exact", "_subdomains", "required")

    def __init__(self, allowed: Iterable[str] = (), *, required: bool = False) -> None:
        if isinstance(allowed, str):
            allowed = (allowed,)
        self.required: bool = required
        self._any = False
        self._exact: set[tuple[str, str, int | None]] = set()
        self._subdomains: set[tuple[str, str, int | None]] = set()
        for text in allowed:
            if text == "*":
                self._any = True
                continue
            origin = _read(text.replace("://*.", "://", 1)) if text != "null" else ("null", "", None)
            if origin is None or "*" in origin[1]:
                raise ValueError(f"origin {text!r} is none; expected such as 'https://app.example.com'")
            (self._subdomains if "://*." in text else self._exact).add(origin)

    def __repr__(self) -> str:
        return f"<Origins any={self._any} exact={len(self._exact)} subdomains={len(self._subdomains)}>"

    def allow(self, scope: Mapping[str, Any]) -> bool:
        """Whether the page that a handshake comes from may open a socket."""
        origins = values_of(scope, b"origin")
        if not origins:
            return not self.required
        if self._any:
            return True
        if len(origins) > 1:
            return False
        text = origins[0].decode("latin-1")
        origin = ("null", "", None) if text == "null" else _read(text)
        if origin is None:
            return False
        return origin in self._exact or self._is_subdomain(origin) or _is_same_host(origin, scope)

    def _is_subdomain(self, origin: tuple[str, str, int | None]) -> bool:
        scheme, host, port = origin
        # Each parent is looked up, so that a long list costs nothing.
        while "." in host:
            host = host.partition(".")[2]
            if (scheme, host, port) in self._subdomains:
                return True
        return False


def _is_same_host(origin: tuple[str, str, int | None], scope: Mapping[str, Any]) -> bool:
    hosts = values_of(scope, b"host")
    if len(hosts) != 1 or origin[0] not in ("http", "https"):
        return False
    if scope.get("scheme") == "wss" and origin[0] != "https":
        return False  # whoever can change an unencrypted page must not come in through it
    host = _parts(f"//{hosts[0].decode('latin-1')}")
    if host is None:
        return False
    # Behind a proxy that ends TLS this side sees `ws` for a page of `https`, so a missing port means the origin's own.
    port = _PORTS[origin[0]] if host.port is None else host.port
    return (host.hostname or "").lower() == origin[1] and port == (origin[2] or _PORTS[origin[0]])


def _read(text: str) -> tuple[str, str, int | None] | None:
    """Return scheme, host and port of a serialised origin (RFC 6454 §6.2), the scheme's own port as None."""
    parts = _parts(text)
    if parts is None or not parts.scheme or not parts.hostname:
        return None
    if parts.path or parts.query or parts.fragment or "@" in parts.netloc:
        return None
    port = None if parts.port == _PORTS.get(parts.scheme) else parts.port
    return parts.scheme, parts.hostname.lower(), port


def _parts(text: str) -> SplitResult | None:
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 -- a port that is no number raises here, and not later
    except ValueError:
        return None
    return parts
