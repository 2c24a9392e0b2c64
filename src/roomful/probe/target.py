"""Whom the probe talks to: address, headers, TLS and source addresses, and whether it may be loaded.

Values and pure rules; nothing here opens a socket. Secrets (headers, user and query of the URL) never enter a
result or a message: `shown` is what may be printed.
"""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from websockets.exceptions import InvalidURI
from websockets.uri import WebSocketURI, parse_uri

from roomful.probe.errors import NotAllowed, UsageError

__all__ = ("Target", "check_allowed", "is_loopback")


@dataclass(frozen=True, slots=True)
class Target:
    """A WebSocket server and how to open a connection to it.

    Attributes:
        url: `ws://` or `wss://`.
        headers: Header lines of the handshake, such as a cookie or a token.
        subprotocols: Offered in this order.
        origin: The `Origin` header; none by default, as no browser asks.
        tls: The TLS context for `wss`; the system's trust store by default.
        sources: Local addresses to connect from, in turn: one address has about 28,000 ports.
        open_timeout_s: How long a handshake may take.
    """

    url: str
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    subprotocols: tuple[str, ...] = ()
    origin: str | None = None
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    sources: tuple[str, ...] = ()
    open_timeout_s: float = 5.0

    @property
    def uri(self) -> WebSocketURI:
        """The parsed URL.

        Raises:
            UsageError: it is not a WebSocket's.
        """
        try:
            return parse_uri(self.url)
        except (InvalidURI, ValueError) as error:
            raise UsageError(f"URL is {self.shown!r}; expected ws://host[:port]/path or wss://…") from error

    @property
    def shown(self) -> str:
        """The URL without user, password, query and fragment."""
        parts = urlsplit(self.url)
        host = parts.netloc.rpartition("@")[2]
        return f"{parts.scheme}://{host}{parts.path}" if parts.netloc else self.url.partition("?")[0]


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its name alone: no resolver is asked, as an answer may change."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


def check_allowed(target: Target, *, allowed: bool) -> None:
    """Let a target pass that is this machine, or that somebody vouches for.

    Raises:
        NotAllowed: neither is so.
        UsageError: the URL is none.
    """
    host = target.uri.host
    if not allowed and not is_loopback(host):
        raise NotAllowed(host)
