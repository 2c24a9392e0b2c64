"""Channels' consumer of HTTP requests, on our consumer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..consumer import AsyncConsumer
from ..exceptions import StopConsumer

if TYPE_CHECKING:
    from ..desk import Event

__all__ = ("AsyncHttpConsumer",)


class AsyncHttpConsumer(AsyncConsumer):
    """Answers one request: derive from it and write `handle`."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        self.body: list[bytes] = []

    async def send_headers(
        self, *, status: int = 200, headers: Mapping[Any, Any] | Iterable[Any] | None = None
    ) -> None:
        """Send the status and the headers, as pairs of bytes; servers wait for the first of the body."""
        lines = list(headers.items()) if isinstance(headers, Mapping) else list(headers or ())
        await self.send({"type": "http.response.start", "status": status, "headers": lines})

    async def send_body(self, body: bytes, *, more_body: bool = False) -> None:
        """Send a part of the body, the last one unless `more_body` says otherwise.

        Raises:
            TypeError: It is no bytes.
        """
        if not isinstance(body, bytes):
            raise TypeError(f"Body is not bytes but {type(body).__name__}")
        await self.send({"type": "http.response.body", "body": body, "more_body": more_body})

    async def send_response(self, status: int, body: bytes, **kwargs: Any) -> None:
        """Send a whole response."""
        await self.send_headers(status=status, **kwargs)
        await self.send_body(body)

    async def handle(self, body: bytes) -> None:
        """Answer the request, by `send_response` or piece by piece.

        Raises:
            NotImplementedError: It is not overridden.
        """
        raise NotImplementedError(
            f"{type(self).__qualname__} has no handle(); expected async def handle(self, body)"
        )

    async def disconnect(self) -> None:
        """Know that the request has ended."""

    async def http_request(self, message: Event) -> None:
        """Collect the body, then call `handle`."""
        if "body" in message:
            self.body.append(message["body"])
        if not message.get("more_body"):
            try:
                await self.handle(b"".join(self.body))
            finally:
                await self.disconnect()
            raise StopConsumer

    async def http_disconnect(self, message: Event) -> None:
        """End."""
        del message
        await self.disconnect()
        raise StopConsumer
