"""Close codes: one table of what a server says when it closes a connection.

1000–1015 are those of RFC 6455 §7.4.1. Roomful's own tell a client what to do next:
4000–4499 *come back* (reconnect and resume), 4500–4999 *stay away* (the next try would end the same way).
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

__all__ = ("MAX_REASON_BYTES", "CloseCode", "check_close", "close_code_for_status", "may_come_back")

MAX_REASON_BYTES: Final = 123
"""A control frame holds 125 bytes and the code takes two (RFC 6455 §5.5)."""


class CloseCode(IntEnum):
    """Why a connection ended."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    NO_STATUS = 1005
    ABNORMAL = 1006
    INVALID_DATA = 1007
    POLICY_VIOLATION = 1008
    TOO_BIG = 1009
    MANDATORY_EXTENSION = 1010
    INTERNAL_ERROR = 1011
    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013
    BAD_GATEWAY = 1014
    TLS_HANDSHAKE = 1015

    SLOW = 4000
    """The member did not read fast enough and its outbox is full."""
    DRAINED = 4001
    """The server is going away in good order."""
    GAP = 4002
    """Events are missing, and this connection owns its wire, so that nothing else can tell it."""
    STALE = 4003
    """The connection gave no sign of life, or made no progress."""

    UNAUTHORISED = 4500
    """Nobody is known behind this connection, or no longer."""
    FORBIDDEN = 4501
    """Whoever it is may not do this."""
    POLICY = 4502
    """The client broke a rule of use, such as a rate."""
    NOT_FOUND = 4503
    """What the connection asked for does not exist."""


# Codes that a close frame must not carry (RFC 6455 §7.4.1): they are only ever reported to the local side.
_NEVER_SENT: Final = frozenset((CloseCode.NO_STATUS, CloseCode.ABNORMAL, CloseCode.TLS_HANDSHAKE))

_BY_STATUS: Final = {
    401: CloseCode.UNAUTHORISED,
    403: CloseCode.FORBIDDEN,
    404: CloseCode.NOT_FOUND,
    429: CloseCode.TRY_AGAIN_LATER,
    503: CloseCode.TRY_AGAIN_LATER,
}


def may_come_back(code: int) -> bool:
    """Whether a client that was closed with `code` should reconnect and resume."""
    return 4000 <= code <= 4499 or code in (1001, 1005, 1006, 1011, 1012, 1013, 1014)


def close_code_for_status(status: int) -> CloseCode:
    """Return the close code that says what an HTTP `status` of 400–599 says."""
    if (code := _BY_STATUS.get(status)) is not None:
        return code
    return CloseCode.INTERNAL_ERROR if status >= 500 else CloseCode.POLICY


def check_close(code: int, reason: str) -> None:
    """Check what an application wants to send in a close frame (RFC 6455 §5.5.1, §7.4).

    Raises:
        ValueError: The code must not be sent, or the reason is longer than 123 bytes of UTF-8.
    """
    registered = 1000 <= code <= 1014 and code != 1004 and code not in _NEVER_SENT
    if not (registered or 3000 <= code <= 4999):
        raise ValueError(f"close code is {code}; expected 1000–1014 without 1004–1006, or 3000–4999")
    if (size := len(reason.encode())) > MAX_REASON_BYTES:
        raise ValueError(f"close reason is {size} bytes; the limit is {MAX_REASON_BYTES} (RFC 6455 §5.5)")
