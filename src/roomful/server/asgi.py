"""One ASGI call: what an application sees of a connection through `scope`, `receive` and `send`.

Towards the socket it is a `Peer` like any other, so that a hub can take its place. It frames nothing and knows no bytes
of the wire. Order and errors follow the ASGI specification (WebSocket 2.4) and, where that is silent, uvicorn.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from contextvars import Context
from enum import Enum
from typing import TYPE_CHECKING, Final

from ..core.close_codes import CloseCode, check_close
from ..core.errors import ClientDisconnected, InvalidState, UnexpectedMessage
from ..core.limits import Limits
from .adoption import EXTENSION, Adoption
from .frames import binary_frame, text_frame
from .keepalive import Keepalive
from .wire import LINGER_S

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..core.ports import Peer, Wire
    from .contract import App, AsgiMessage, Config, Scope
    from .protocol import WebSocketProtocol

__all__ = ("AsgiCall",)

logger: Final = logging.getLogger("uvicorn.error")

_LIMITS: Final = Limits()


class Phase(Enum):
    """What the application has done so far."""

    CONNECTING = "neither accepted nor refused"
    OPEN = "accepted"
    REFUSING = "began an HTTP response"
    DONE = "closed or refused"
    ADOPTED = "given to a hub"


class AsgiCall:
    """Implements the port `Peer` with a bounded queue that the application empties.

    A full queue stops the reading of the socket; a full transport stops `send`.
    """

    __slots__ = (
        "_announced",
        "_corked",
        "_ended",
        "_held",
        "_inbox",
        "_inbox_bytes",
        "_keepalive",
        "_phase",
        "_readable",
        "_response",
        "_scope",
        "_settings",
        "_wire",
        "_writable",
    )

    def __init__(self, wire: WebSocketProtocol, scope: Scope, settings: Config) -> None:
        self._wire = wire
        self._scope = scope
        self._settings = settings
        self._phase = Phase.CONNECTING
        self._announced = False
        self._corked: list[bytes] | None = None
        self._inbox: deque[str | bytes] = deque()
        self._inbox_bytes = 0
        self._held = False
        self._ended: tuple[int, str] | None = None
        self._readable = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._response: tuple[int, Sequence[tuple[bytes, bytes]], bytearray] | None = None
        self._keepalive: Keepalive | None = None
        scope["extensions"] = {"websocket.http.response": {}, EXTENSION: Adoption(self)}

    # ── Towards the server ──

    def start(self) -> asyncio.Task[None]:
        """Run the application in a task of its own."""
        loop = asyncio.get_running_loop()
        if self._settings.reset_contextvars:
            return loop.create_task(self._run(), context=Context())
        return loop.create_task(self._run())

    async def _run(self) -> None:
        app: App = self._settings.loaded_app
        try:
            result: object = await app(self._scope, self._receive, self._send)  # type: ignore[func-returns-value]
        except ClientDisconnected:
            pass
        except asyncio.CancelledError:
            # uvicorn stops, and the time that it gives for this is over.
            self._fail(CloseCode.SERVICE_RESTART)
            raise
        except Exception:
            logger.exception("Exception in ASGI application\n")
            self._fail(CloseCode.INTERNAL_ERROR)
        else:
            if result is not None:
                logger.error("ASGI callable should return None, but returned '%s'.", result)
            self._returned()

    def _returned(self) -> None:
        """Finish what the application left open when it returned."""
        if self._ended is not None:
            self._stop_keepalive()
        elif self._phase is Phase.OPEN:
            self._phase = Phase.DONE
            self._wire.end(CloseCode.NORMAL)
        elif self._phase in (Phase.CONNECTING, Phase.REFUSING):
            logger.error("ASGI callable returned without completing handshake.")
            self._fail(CloseCode.INTERNAL_ERROR)

    def _fail(self, code: CloseCode) -> None:
        """End because the application did not: 500 before the handshake is answered, `code` after."""
        if self._phase is not Phase.DONE:
            self._phase = Phase.DONE
            self._wire.fail_application(code)

    def hand_over(self, peer: Peer, limits: Limits) -> Wire:
        """Let `peer` take this call's place; see `Adoption.adopt`."""
        if self._phase not in (Phase.CONNECTING, Phase.OPEN):
            raise InvalidState(f"connection cannot be adopted; the application has {self._phase.value}")
        self._uncork()
        self._phase = Phase.ADOPTED
        self._stop_keepalive()
        self._readable.set()
        self._writable.set()
        self._wire.limit(
            max_buffer_bytes=limits.max_write_buffer_bytes, max_message_bytes=limits.max_message_bytes
        )
        self._wire.change_peer(peer, self._inbox, self._ended)
        return self._wire

    # ── Peer ──

    def received(self, message: str | bytes) -> None:
        """Queue a message for `receive`; stop reading when enough waits."""
        self.heard()
        if self._phase is Phase.DONE:
            return
        self._inbox.append(message)
        self._inbox_bytes += len(message)
        self._readable.set()
        if len(self._inbox) >= self._settings.ws_max_queue or self._inbox_bytes >= _LIMITS.max_inbox_bytes:
            self._held = True
            self._wire.stop_reading()

    def paused(self) -> None:
        """Let `send` wait."""
        self._writable.clear()

    def resumed(self) -> None:
        """Let `send` go on."""
        self._writable.set()

    def heard(self) -> None:
        """Note a sign of life."""
        if self._keepalive is not None:
            self._keepalive.heard()

    def going_away(self) -> None:
        """Close with 1012; a client that does not take it is dropped, so that the server never waits for it."""
        self._wire.end(CloseCode.SERVICE_RESTART, linger_s=LINGER_S)

    def lost(self, code: int, reason: str) -> None:
        """Queue the disconnect behind what was received."""
        if self._ended is None:
            self._ended = (code, reason)
        self._stop_keepalive()
        self._readable.set()
        self._writable.set()

    # ── Kept ──

    @property
    def reads(self) -> bool:
        """Whether the socket is read."""
        return not self._held

    def ping(self) -> None:
        """Ask the client for a sign of life."""
        self._wire.ping()

    def silent(self) -> None:
        """Give up a client that did not answer; what waits for it is dropped after the linger time."""
        reason = "keepalive ping timeout"
        self._wire.close(CloseCode.INTERNAL_ERROR, reason, linger_s=_LIMITS.linger_s)
        self.lost(CloseCode.INTERNAL_ERROR, reason)

    def _stop_keepalive(self) -> None:
        if self._keepalive is not None:
            self._keepalive.stop()
            self._keepalive = None

    # ── Joined ──

    def cork(self) -> None:
        """Join what is sent until the loop's next pass into one write."""
        if self._corked is None and self._phase is Phase.OPEN:
            self._corked = []
            asyncio.get_running_loop().call_soon(self._uncork)

    def _uncork(self) -> None:
        frames, self._corked = self._corked, None
        if frames and self._ended is None:
            self._wire.write(b"".join(frames))

    def _write(self, frame: bytes) -> None:
        if self._corked is None:
            self._wire.write(frame)
            return
        self._corked.append(frame)
        if len(self._corked) >= _LIMITS.max_batch_frames or len(frame) >= _LIMITS.max_batch_bytes:
            self._uncork()

    # ── Towards the application ──

    async def _receive(self) -> AsgiMessage:
        while True:
            if self._phase is Phase.ADOPTED:
                raise InvalidState("connection was adopted; its messages no longer come through receive")
            if not self._announced:
                self._announced = True
                return {"type": "websocket.connect"}
            if self._inbox:
                return self._next_message()
            if self._ended is not None:
                code, reason = self._ended
                return {"type": "websocket.disconnect", "code": int(code), "reason": reason}
            self._readable.clear()
            await self._readable.wait()

    def _next_message(self) -> AsgiMessage:
        message = self._inbox.popleft()
        self._inbox_bytes -= len(message)
        if self._held and not self._inbox:
            self._held = False
            self._wire.start_reading()
        if isinstance(message, str):
            return {"type": "websocket.receive", "text": message}
        return {"type": "websocket.receive", "bytes": message}

    async def _send(self, message: AsgiMessage) -> None:
        if not self._writable.is_set():
            await self._writable.wait()
        kind = message["type"]
        match self._phase:
            case Phase.CONNECTING:
                self._answer(kind, message)
            case Phase.OPEN:
                self._send_open(kind, message)
            case Phase.REFUSING:
                self._send_refusal(kind, message)
            case Phase.DONE:
                raise UnexpectedMessage(f"Unexpected ASGI message '{kind}', after sending 'websocket.close'.")
            case Phase.ADOPTED:
                raise InvalidState("connection was adopted; write to its wire")

    def _answer(self, kind: str, message: AsgiMessage) -> None:
        if self._ended is not None:
            raise ClientDisconnected
        if kind == "websocket.accept":
            self._wire.accept(message.get("subprotocol"), list(message.get("headers", ())))
            self._phase = Phase.OPEN
            if interval_s := self._settings.ws_ping_interval:
                self._keepalive = Keepalive(
                    self,
                    asyncio.get_running_loop(),
                    interval_s=interval_s,
                    timeout_s=self._settings.ws_ping_timeout,
                )
        elif kind == "websocket.close":
            self._refuse(403, b"", ())
        elif kind == "websocket.http.response.start":
            if not 200 <= (status := message["status"]) <= 599:
                raise UnexpectedMessage(f"Invalid HTTP status code '{status}' in response.")
            self._response = (status, list(message.get("headers", ())), bytearray())
            self._phase = Phase.REFUSING
        else:
            raise UnexpectedMessage(
                "Expected ASGI message 'websocket.accept', 'websocket.close' "
                f"or 'websocket.http.response.start' but got '{kind}'."
            )

    def _send_refusal(self, kind: str, message: AsgiMessage) -> None:
        assert self._response is not None
        if kind != "websocket.http.response.body":
            raise UnexpectedMessage(f"Expected ASGI message 'websocket.http.response.body' but got '{kind}'.")
        status, headers, body = self._response
        body += message.get("body", b"")
        if not message.get("more_body", False):
            if self._ended is not None:
                raise ClientDisconnected
            self._refuse(status, bytes(body), headers)

    def _refuse(self, status: int, body: bytes, headers: Sequence[tuple[bytes, bytes]]) -> None:
        self._wire.refuse(status, body, headers)
        self._phase = Phase.DONE
        self.lost(CloseCode.ABNORMAL, "")

    def _send_open(self, kind: str, message: AsgiMessage) -> None:
        if kind == "websocket.send":
            if self._ended is not None:
                raise ClientDisconnected
            data, text = message.get("bytes"), message.get("text")
            if data is not None:
                self._write(binary_frame(data))
            elif text is not None:
                self._write(text_frame(text.encode()))
        elif kind == "websocket.close":
            code, reason = message.get("code", CloseCode.NORMAL), message.get("reason") or ""
            check_close(code, reason)
            self._uncork()
            self._phase = Phase.DONE
            # A client that has gone meanwhile needs no closing, and its application no error for having tried.
            if self._ended is None:
                self._wire.close(code, reason)
                self.lost(code, reason)
        else:
            raise UnexpectedMessage(
                f"Expected ASGI message 'websocket.send' or 'websocket.close', but got '{kind}'."
            )
