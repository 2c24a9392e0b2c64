"""Scopes of handshakes, written short."""

from __future__ import annotations

from typing import Any

__all__ = ("scope",)


def scope(
    *headers: tuple[str, str],
    query: str = "",
    client: str | None = "192.0.2.1",
    subprotocols: tuple[str, ...] = (),
    **more: Any,
) -> dict[str, Any]:
    """Return the scope of a handshake."""
    lines = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    if subprotocols:
        lines.append((b"sec-websocket-protocol", ", ".join(subprotocols).encode("latin-1")))
    return {
        "type": "websocket",
        "path": "/",
        "scheme": "ws",
        "headers": lines,
        "query_string": query.encode("latin-1"),
        "client": None if client is None else (client, 1),
        "subprotocols": list(subprotocols),
        **more,
    }
