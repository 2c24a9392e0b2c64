"""The health check: an ASGI application that tells a load balancer whether this process is well.

It says no more than that: what a process holds is nobody else's business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ..assembly import Hub
    from ..consumers import Scope
    from .application import Receive, Send

__all__ = ("HealthCheck",)

_TYPE: Final = (b"content-type", b"text/plain; charset=utf-8")


class HealthCheck:
    """Answers 200 while a hub is well, and 503 with what is wrong: mount it at `/health`.

    A process that drains is not well, so that a load balancer sends nobody there. Whether one whose layer is away is to
    be taken out too depends on the others: where the layer is away for all of them, that would take out everything. Ask
    `?layer=ignore` for a check that overlooks it.

    Args:
        hub: The hub.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        del receive
        if scope["type"] != "http":
            raise TypeError(f"health check is asked by HTTP; this scope is of type {scope['type']!r}")
        problem = self._hub.health()
        if scope["query_string"] == b"layer=ignore" and self._hub.engine.takes_connections:
            problem = ""
        body = (problem or "ok").encode() + b"\n"
        headers = [_TYPE, (b"content-length", str(len(body)).encode()), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": 503 if problem else 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
