"""Refusals: what an HTTP client gets when a handshake is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .asgi_wire import Send

__all__ = ("refusal_response", "respond")

Headers = list[tuple[bytes, bytes]]


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
