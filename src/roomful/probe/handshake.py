"""The handshake's request, and what a failed one means in words that help.

`websockets` writes and checks it; nothing here touches a socket.
"""

from __future__ import annotations

import errno
import socket
import ssl

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake, InvalidStatus
from websockets.http11 import Request
from websockets.typing import Origin, Subprotocol

from roomful.probe.errors import Unreachable
from roomful.probe.target import Target

__all__ = ("Refused", "handshake_of", "unreachable")

_HINTS = {
    401: "; it wants credentials: see --header, --cookie and --token",
    403: "; it refuses: check path, origin (--origin) and credentials",
    404: "; check the path of the URL",
}


class Refused(Exception):  # like `Refuse` of the library
    """The server answered the handshake with another status than 101, and not as `websockets` expects it."""

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(f"HTTP {status}")


def handshake_of(target: Target) -> tuple[ClientProtocol, Request]:
    """Return a handshake that has not begun, and its request."""
    # No extensions: a message's bytes on the wire are then those that were asked for.
    handshake = ClientProtocol(
        target.uri,
        subprotocols=[Subprotocol(name) for name in target.subprotocols] or None,
        origin=None if target.origin is None else Origin(target.origin),
        extensions=None,
        max_size=None,
    )
    request = handshake.connect()
    for name, value in target.headers:
        request.headers[name] = value
    return handshake, request


def unreachable(error: BaseException, target: Target | None = None) -> Unreachable:
    """Return what a failed handshake, or a failed connection, means."""
    if isinstance(error, Unreachable):
        return error
    where = "" if target is None else f"{target.shown}: "
    status = error.status if isinstance(error, Refused) else None
    if isinstance(error, InvalidStatus):
        status = error.response.status_code
    if status is not None:
        text = f"{where}the server answered the handshake with HTTP {status}{_HINTS.get(status, '')}"
        return Unreachable("status", text, status=status)
    reason, text = _in_words(error)
    return Unreachable(reason, where + text)


def _in_words(error: BaseException) -> tuple[str, str]:
    number = error.errno if isinstance(error, OSError) else None
    match error:
        case ssl.SSLCertVerificationError():
            return "tls", f"its certificate is not trusted: {error.verify_message}; see --ca, --insecure"
        case ssl.SSLError():
            return "tls", f"TLS failed: {error.reason or error}; is it wss:// or ws://?"
        case ConnectionRefusedError():
            return "refused", "nobody listens there (connection refused)"
        case socket.gaierror():
            return "dns", f"the name cannot be resolved: {error.strerror}"
        case OSError() if number in (errno.EMFILE, errno.ENFILE):
            return "descriptors", "this process has no descriptors left: raise `ulimit -n`"
        case OSError() if number in (errno.EADDRINUSE, errno.EADDRNOTAVAIL):
            return "address", f"{error.strerror}: no free local port; add addresses with --source"
        case EOFError() | ConnectionError():
            return "closed", "the server closed the connection during the handshake"
        case InvalidHandshake():
            return "not_websocket", f"it is not a WebSocket: {error}"
    return "closed", f"{type(error).__name__}: {error}"
