"""The plain wire: a connection through ASGI's `receive` and `send`, under any server.

Pings, deadlines and aborting are the server's own; this wire can only try to close and then let its task end.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping, Sequence
from typing import Any, Final, TypeAlias

from ..core.ports import Peer
from .framing import ASGI_FRAMING, AsgiFraming

__all__ = ("AsgiWire", "Receive", "Send")

logger: logging.Logger = logging.getLogger("roomful.endpoint")

AsgiEvent: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[AsgiEvent]]
Send: TypeAlias = Callable[[AsgiEvent], Awaitable[None]]

_ABNORMAL: Final = 1006
_MAX_MESSAGES_A_PASS: Final = 64
"""Messages of one client that are handed on before the loop has a turn, also where `receive` never waits."""
_CLOSE_TIMEOUT_S: Final = 10.0
"""Time for the closing handshake when the caller gave none; the same as uvicorn's own."""


class AsgiWire:
    """Implements the port `Wire`. The ASGI task calls `start` and waits for `ended`.

    Args:
        peer: The connection.
        receive: The server's.
        send: The server's. Awaited by one task at a time.
        extensions: The scope's `extensions`; tells whether a refusal may be an HTTP response.
        max_buffer_bytes: Bytes handed to `write` and not yet taken by `send` before the peer is paused.
    """

    __slots__ = (
        "_closed_with",
        "_ended",
        "_extensions",
        "_is_over",
        "_is_paused",
        "_max_buffer",
        "_may_read",
        "_peer",
        "_queue",
        "_reader",
        "_receive",
        "_send",
        "_timer",
        "_unsent",
        "_writer",
    )

    framing: AsgiFraming = ASGI_FRAMING
    supervises = True
    has_more = False

    def __init__(
        self,
        peer: Peer,
        receive: Receive,
        send: Send,
        *,
        extensions: MutableMapping[str, Any],
        max_buffer_bytes: int,
    ) -> None:
        self._peer = peer
        self._receive = receive
        self._send = send
        self._extensions = extensions
        self._max_buffer = max_buffer_bytes
        self._queue: deque[tuple[AsgiEvent, int]] = deque()
        self._unsent = 0
        self._is_paused = False
        self._may_read: asyncio.Event | None = None
        self._writer: asyncio.Task[None] | None = None
        self._closed_with: tuple[int, str] | None = None
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._timer: asyncio.TimerHandle | None = None
        self._is_over = False
        self._reader: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to receive. In a later pass than the constructor's, so that the peer is ready."""
        self._reader = _task(self._read())

    async def ended(self) -> None:
        """Wait until the socket has ended. Cancellation ends it: the server is tearing the call down."""
        try:
            await asyncio.shield(self._ended)
        finally:
            self._end(_ABNORMAL, "")

    # ── Wire ──

    def accept(self, subprotocol: str | None, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Accept the handshake; what is written follows it."""
        self._put({"type": "websocket.accept", "subprotocol": subprotocol, "headers": list(headers)}, 0)

    def refuse(self, status: int, body: bytes, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Refuse with an HTTP response where the server offers that, else with its own 403."""
        if "websocket.http.response" in self._extensions:
            self._put(
                {"type": "websocket.http.response.start", "status": status, "headers": list(headers)}, 0
            )
            self._put({"type": "websocket.http.response.body", "body": body}, 0)
        else:
            self._put({"type": "websocket.close"}, 0)
        self._finish_by(_ABNORMAL, "", _CLOSE_TIMEOUT_S)

    def write(self, data: object) -> None:
        """Queue events for `send`."""
        for event, size in data:  # type: ignore[attr-defined] # made by `AsgiFraming.join`
            self._put(event, size)
        if self._unsent > self._max_buffer and not self._is_paused:
            self._is_paused = True
            self._peer.paused()

    def unsent(self) -> int:
        """Return how many bytes `send` has not yet taken."""
        return self._unsent

    def stop_reading(self) -> None:
        """Do not call `receive` again for a while."""
        if self._may_read is None:
            self._may_read = asyncio.Event()

    def bound_messages(self, max_bytes: int | None) -> None:
        """Do nothing: the server has read a message before it is seen here."""

    def start_reading(self) -> None:
        """Call `receive` again."""
        if self._may_read is not None:
            self._may_read.set()
            self._may_read = None

    def ping(self) -> None:
        """Do nothing: the server pings by itself."""

    def close(self, code: int, reason: str, *, linger_s: float | None = None) -> None:
        """Close behind all that was written; with `linger_s`, what is still queued is dropped."""
        if linger_s is not None:
            self._queue.clear()
        self._put({"type": "websocket.close", "code": code, "reason": reason}, 0)
        self._finish_by(code, reason, _CLOSE_TIMEOUT_S if linger_s is None else linger_s)

    def abort(self) -> None:
        """End the ASGI call at once; the socket's end is the server's to bring about."""
        self._end(_ABNORMAL, "")

    # ── Tasks ──

    def _put(self, event: AsgiEvent, size: int) -> None:
        if self._is_over or self._closed_with is not None:
            return
        self._queue.append((event, size))
        self._unsent += size
        if self._writer is None:
            self._writer = _task(self._write())

    async def _write(self) -> None:
        # One task for what is queued now; an idle connection has none.
        try:
            while self._queue:
                event, size = self._queue.popleft()
                await self._send(dict(event))
                self._unsent -= size
                if self._is_paused and self._unsent * 4 <= self._max_buffer:
                    self._is_paused = False
                    self._peer.resumed()
        except Exception as error:  # noqa: BLE001 -- servers differ in what `send` raises once the client has gone
            logger.debug("send failed: %r", error)
            self._end(_ABNORMAL, "")
        finally:
            self._writer = None

    async def _read(self) -> None:
        try:
            for taken in itertools.count(1):
                if taken % _MAX_MESSAGES_A_PASS == 0:
                    await asyncio.sleep(0)  # a client that floods must not keep the loop from the others
                event = await self._receive()
                kind = event["type"]
                if kind == "websocket.disconnect":
                    reason = event.get("reason") or ""
                    self._end(int(event.get("code") or 1005), reason)
                    return
                if kind == "websocket.receive":
                    text = event.get("text")
                    self._peer.received(event["bytes"] if text is None else text)
                    self._peer.heard()
                while self._may_read is not None:
                    await self._may_read.wait()
        except Exception:
            logger.exception("receive failed")
            self._end(_ABNORMAL, "")

    def _finish_by(self, code: int, reason: str, timeout_s: float) -> None:
        self._closed_with = (code, reason)
        # The reading goes on, so that the server's word of the end comes; not every server gives it.
        self.start_reading()
        self._timer = asyncio.get_running_loop().call_later(timeout_s, self._end, code, reason)

    def _end(self, code: int, reason: str) -> None:
        if self._ended.done():
            return
        self._ended.set_result(None)
        self._is_over = True
        self._queue.clear()
        self._unsent = 0
        if self._timer is not None:
            self._timer.cancel()
        for task in (self._reader, self._writer):
            if task is not None and task is not asyncio.current_task():
                task.cancel()
        self._peer.lost(*(self._closed_with or (code, reason)))


def _task(coroutine: Coroutine[object, object, None]) -> asyncio.Task[None]:
    # Lazy, whatever the loop's task factory: an eager one would enter the peer, or finish, before the task is known.
    return asyncio.Task(coroutine, loop=asyncio.get_running_loop())
