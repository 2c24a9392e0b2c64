"""The wire: one open WebSocket over a transport, as a state machine that callbacks drive.

    HANDSHAKE ──accept──▶ OPEN ──close──▶ CLOSING
        │ refuse            │ client's close │ client's close
        └───────────────────┴───────failure──┴──▶ ENDED ──connection_lost──▶ LOST

Towards asyncio it is a protocol, towards a `Peer` the port `Wire`. It knows neither HTTP, ASGI nor uvicorn; that is
`protocol`. While it is open and silent it owns no parser, no task and no timer.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final, cast

from ..core.close_codes import CloseCode
from ..core.limits import Limits
from .frames import FRAMING, PING, close_frame
from .kernel import abort_without_linger, limit_writes, tune
from .reading import Reading
from .states import NOBODY, State

if TYPE_CHECKING:
    from asyncio import TimerHandle
    from collections import deque
    from collections.abc import Callable

    from ..core.ports import Framing, Peer
    from .parser import Close

__all__ = ("CLOSE_TIMEOUT_S", "LINGER_S", "SocketWire")

CLOSE_TIMEOUT_S: Final = 10.0
"""Time that a client has to answer a close frame, where nobody says otherwise; uvicorn's too."""

LINGER_S: Final = Limits().linger_s
"""Time that is left to a client to take what was written, once there is nothing more to say to it."""


class SocketWire(Reading):
    """Implements the port `Wire`, without the handshake.

    Codes: `Peer.lost` tells what RFC 6455 §7.1.5 calls the close code, seen from the server: the client's, when it
    closed first (1005 where its frame had none); ours, when we closed and the client answered, or when the server
    itself ended the connection (a failure, a shutdown); 1006, when the socket ended without a closing handshake.
    It comes as soon as nothing more can be said or heard, which may be before the socket is gone.

    Threads: everything is called from the loop's thread. `Peer.lost` and `Peer.received` are never called from inside
    a call of the peer's, `Peer.paused` may be.
    """

    __slots__ = ("_closed_with", "_timer")

    framing: Framing = FRAMING
    supervises = False

    def __init__(self, max_bytes: int) -> None:
        super().__init__(max_bytes)
        self._closed_with: tuple[int, str] | None = None
        self._timer: TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._state.name}>"

    # ── Wire ──

    def unsent(self) -> int:
        """Return how many bytes the transport holds."""
        return self._transport.get_write_buffer_size()

    def ping(self) -> None:
        """Ask the client for a sign of life."""
        if self._state is State.OPEN:
            self.write(PING)

    def close(self, code: int, reason: str, *, linger_s: float | None = None) -> None:
        """Write the close frame behind all that was written, and end within `linger_s`, or `CLOSE_TIMEOUT_S`.

        A second call writes nothing; with `linger_s` it changes the time that is left.
        """
        if self._state is State.OPEN:
            self._state = State.CLOSING
            self._closed_with = (code, reason)
            self._ordinary = False
            self._backlog = None
            self.write(close_frame(code, reason))
            self._end_within(CLOSE_TIMEOUT_S if linger_s is None else linger_s)
            if self._stopped:
                # The client's answer stands behind what nobody wants any more.
                self._stopped = False
                asyncio.get_running_loop().call_soon(self._read_on)
        elif self._state in (State.CLOSING, State.ENDED) and linger_s is not None:
            self._end_within(linger_s)

    def abort(self) -> None:
        """End now, dropping what the transport and the kernel still hold."""
        if self._state is not State.LOST:
            self._forget()
            self._state = State.ENDED
            abort_without_linger(self._transport)

    # ── Towards the server ──

    def limit(self, *, max_buffer_bytes: int, max_message_bytes: int) -> None:
        """Count the transport as full from `max_buffer_bytes` on; of two bounds on messages the smaller holds."""
        if self._state is not State.LOST:
            limit_writes(self._transport, max_buffer_bytes)
        self._most_bytes = self._max_bytes = min(self._most_bytes, max_message_bytes)

    def change_peer(self, peer: Peer, messages: deque[str | bytes], ended: tuple[int, str] | None) -> None:
        """Give the socket to another peer, who gets `messages` first, and is not called before this has returned.

        Args:
            peer: The new peer.
            messages: What the old one had not taken yet.
            ended: What the old one was told when the socket ended.
        """
        self._peer = peer
        loop = asyncio.get_running_loop()
        if ended is not None:
            loop.call_soon(self._tell_lost, *ended)
            return
        self._backlog = messages or None
        self._stopped = False
        self._ordinary = False
        if not self._writable:
            loop.call_soon(self._tell_paused)
        if self._state is State.OPEN:
            loop.call_soon(self._read_on)

    def _opened(self) -> None:
        """Know that the handshake is accepted."""
        self._state = State.OPEN
        if self._parser is not None or self._backlog is not None:
            asyncio.get_running_loop().call_soon(self._read_on)
        else:
            self._ordinary = not self._stopped

    def end(self, code: int, reason: str = "", *, linger_s: float | None = None) -> None:
        """Close for a reason of the server's own: the peer learns of it at once, so that it writes no more."""
        self.close(code, reason, linger_s=linger_s)
        self._tell_lost(code, reason)

    # ── asyncio.Protocol ──

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast("asyncio.Transport", transport)
        # A hub calls this for every member and every batch, so it is the transport's own method.
        self.write: Callable[[object], None] = cast("Callable[[object], None]", self._transport.write)
        tune(self._transport)

    def eof_received(self) -> None:
        """Take the end of the client's stream: without a close frame there is nothing to wait for (RFC 6455 §7.1.5).

        Returns None, upon which the transport closes itself once its buffer is out.
        """
        if self._state is not State.ENDED:
            self._finish(CloseCode.ABNORMAL, "")

    def pause_writing(self) -> None:
        """Know that the transport is full."""
        self._writable = False
        self._peer.paused()

    def resume_writing(self) -> None:
        """Know that the transport has room again."""
        self._writable = True
        self._flush_pongs()
        self._peer.resumed()

    def connection_lost(self, exc: Exception | None) -> None:
        """Know that the socket is gone."""
        self._state = State.LOST
        self._forget()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._tell_lost(CloseCode.ABNORMAL, "")

    # ── Ending ──

    def _client_closed(self, close: Close) -> None:
        """Complete the closing handshake (§5.5.1); the server then closes the socket first (§7.1.1)."""
        if self._closed_with is not None:
            code, reason = self._closed_with
        else:
            self._flush_pongs()
            self.write(close_frame(close.code, close.reason))
            code, reason = (CloseCode.NO_STATUS if close.code is None else close.code), close.reason
        self._transport.close()
        self._finish(code, reason)

    def _fail(self, code: int, reason: str) -> None:
        """Fail the connection (§7.1.7): say why, and read nothing more."""
        if self._state is State.OPEN:
            self._flush_pongs()
            self.write(close_frame(code, reason))
        # With bytes of the client unread, closing would reset the connection and could destroy the close frame on its
        # way (§7.1.1). So only our half is closed; what still comes is dropped until the client closes, or in time.
        if self._transport.can_write_eof():
            with contextlib.suppress(OSError):  # asyncio raises when the client has gone already
                self._transport.write_eof()
        self._finish(code, reason)

    def _finish(self, code: int, reason: str) -> None:
        self._forget()
        self._state = State.ENDED
        if self._timer is None:
            self._end_within(LINGER_S)
        if not self._reading:
            self._reading = True
            self._transport.resume_reading()
        self._tell_lost(code, reason)

    def _end_within(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self.abort)

    def _tell_paused(self) -> None:
        if not self._writable:
            self._peer.paused()

    def _tell_lost(self, code: int, reason: str) -> None:
        peer, self._peer = self._peer, NOBODY
        peer.lost(code, reason)
