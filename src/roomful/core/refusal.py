"""Refusals: what a client gets when its handshake is refused, through plain ASGI.

It does not decide who is refused, and it knows no connection.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from http import HTTPStatus
from typing import Any, Final, TypeAlias

from .access import SUBPROTOCOL
from .close_codes import MAX_REASON_BYTES, close_code_for_status
from .errors import NotAuthenticated, Refuse

__all__ = (
    "close_reason",
    "offered_subprotocol",
    "reason_of_response",
    "refusal_response",
    "refuse_handshake",
    "respond",
    "unauthorised",
)

_TOKEN: Final = re.compile(r"[-!#$%&'*+.^_`|~0-9a-zA-Z]+")
"""What a subprotocol may be (RFC 6455 §4.1); a client may offer anything."""

Headers = list[tuple[bytes, bytes]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]


def refusal_response(
    status: int, reason: str, headers: Mapping[str, str] | None = None
) -> tuple[int, bytes, Headers]:
    """Return status, body and headers of a refusal in plain text."""
    body = (reason or "refused").encode() + b"\n"
    lines = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    lines += [
        (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in (headers or {}).items()
    ]
    return status, body, lines


def close_reason(reason: str) -> str:
    """Return as much of a reason as a close frame holds."""
    return reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore")


def offered_subprotocol(scope: Mapping[str, Any]) -> str | None:
    """Return the subprotocol with which a handshake is accepted only to be closed: ours, else the first that is one.

    A browser ends a handshake by itself, and hears no code, when none of the subprotocols that its page offers is
    answered. Names of ours with a dot hold secrets, and are not sent back; other secrets must have been taken out.
    """
    offered: Sequence[str] = scope.get("subprotocols") or ()
    if SUBPROTOCOL in offered:
        return SUBPROTOCOL
    return next(
        (name for name in offered if _TOKEN.fullmatch(name) and not name.startswith(f"{SUBPROTOCOL}.")), None
    )


def reason_of_response(status: int, body: bytes) -> str:
    """Return what an HTTP response says, as much of it as a close frame holds.

    Its text; of JSON its `detail`, as FastAPI writes it; else what its status is called.
    """
    text = body.decode(errors="replace").strip()
    if text.startswith("{"):
        try:
            detail = json.loads(text).get("detail")
        except (ValueError, RecursionError):
            detail = None
        text = detail if isinstance(detail, str) else ""
    if not text or text.startswith("<"):
        try:
            text = HTTPStatus(status).phrase
        except ValueError:
            text = ""
    return close_reason(text)


def unauthorised(error: NotAuthenticated) -> Refuse:
    """Return the refusal that says so to an HTTP client (RFC 6750 §3)."""
    detail = "" if error.why == "missing" else ' error="invalid_token"'
    return Refuse(401, error.message, headers={"WWW-Authenticate": f"Bearer{detail}"})


async def respond(
    send: Send,
    status: int,
    body: bytes,
    headers: Sequence[tuple[bytes, bytes]],
    *,
    prefix: str = "http.response",
) -> None:
    """Send a whole HTTP response through ASGI."""
    await send({"type": f"{prefix}.start", "status": status, "headers": list(headers)})
    await send({"type": f"{prefix}.body", "body": body})


async def refuse_handshake(
    send: Send, scope: Mapping[str, Any], refusal: Refuse, *, tell_browsers: bool
) -> None:
    """Refuse a handshake that nobody has answered yet.

    Args:
        send: The server's.
        scope: The handshake's, without secrets; where its extensions lack `websocket.http.response` the server says 403
            by itself.
        refusal: Status, reason and headers.
        tell_browsers: Whether to accept and then close with the code that says what the status says, because a page
            learns nothing of an HTTP response but that there was one.
    """
    code = int(close_code_for_status(refusal.status))
    close = {"type": "websocket.close", "code": code, "reason": close_reason(refusal.reason)}
    if tell_browsers:
        await send({"type": "websocket.accept", "subprotocol": offered_subprotocol(scope)})
        await send(close)
    elif "websocket.http.response" in (scope.get("extensions") or {}):
        response = refusal_response(refusal.status, refusal.reason, refusal.headers)
        await respond(send, *response, prefix="websocket.http.response")
    else:
        await send(close)
