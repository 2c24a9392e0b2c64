"""uvicorn's HTTP class with two bounds that it lacks: how long the head of a request may take, and how long it may be.

Before the upgrade a socket belongs to uvicorn's HTTP class. That of `httptools`, its default, takes in a head without
end (100 MB of header lines were 110 MB of memory) and waits for one without end, so a handshake that is never finished
costs a client nothing. `uvicorn app:app --http roomful.server.http:HttpProtocol` ends both, for every request.

It builds on `uvicorn.protocols.http.httptools_impl`, whose methods are those that `httptools` calls; a test holds
uvicorn to them. It is not imported with `roomful.server`, so that `httptools` stays optional.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ..core.limits import Limits
from .handshake import refusal

if TYPE_CHECKING:
    from asyncio import TimerHandle

__all__ = ("HEAD_TIMEOUT_S", "MAX_HEAD_BYTES", "HttpProtocol")

MAX_HEAD_BYTES: Final = 64 * 1024
"""Longest head, request line and headers together; `h11` has the same limit. One read of the socket comes on top."""

HEAD_TIMEOUT_S: Final = Limits().handshake_timeout_s
"""Time from the connection, or from the first byte of a later request, to the end of the head."""


class HttpProtocol(HttpToolsProtocol):
    """Refuses a head that is too long with 431, and one that takes too long with 408."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._head_began = False
        self._head_bytes = 0
        self._head_timer: TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Give the client time to say what it wants."""
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timer."""
        self._head_ended()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, unless the head has become too long."""
        had_begun = self._head_began
        super().data_received(data)
        # The read in which a head begins may hold the end of another request, so it does not count.
        if had_begun and self._head_began:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse(431, b"Request Header Fields Too Large")

    def on_message_begin(self) -> None:
        """Know that a head begins."""
        super().on_message_begin()
        self._head_began = True
        self._head_bytes = 0
        if self._head_timer is None:
            self._expect_head()

    def on_headers_complete(self) -> None:
        """Know that the head has ended."""
        self._head_ended()
        super().on_headers_complete()

    def _expect_head(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self._late)

    def _head_ended(self) -> None:
        self._head_began = False
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _late(self) -> None:
        self._head_timer = None
        if self._head_began:
            self._refuse(408, b"Request Timeout")
        elif not self.transport.is_closing():
            self.transport.close()

    def _refuse(self, status: int, body: bytes) -> None:
        if not self.transport.is_closing():
            self._head_ended()
            self.transport.write(refusal(status, body, ()))
            self.transport.close()
