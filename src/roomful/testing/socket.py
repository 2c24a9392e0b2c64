"""The socket of a test: ASGI's `receive` and `send` on one side, a client's calls on the other, nothing in between.

It is as strict as a server: what an application may not send in its state is an error there.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, TypeAlias

from ..core.close_codes import CloseCode
from ..core.errors import RoomfulError
from .pipe import Pipe

__all__ = ("Accepted", "AsgiEvent", "ClientGone", "Closed", "Refused", "Socket")

AsgiEvent: TypeAlias = MutableMapping[str, Any]

_NO_STATUS: Final = int(CloseCode.NO_STATUS)


class Refused(RoomfulError):
    """The handshake was refused.

    Attributes:
        status: The HTTP status.
        headers: The response's headers, their names in lower case.
        body: The response's body.
    """

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        super().__init__(f"handshake was refused with status {status}")

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()


class ClientGone(OSError):
    """The client has closed or dropped the connection; raised by `send` in the application, as servers do."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The handshake was accepted."""

    subprotocol: str | None
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Closed:
    """The connection has ended."""

    code: int
    reason: str


class _State(Enum):
    CONNECTING = "before the handshake was answered"
    REFUSING = "after the start of a refusal"
    OPEN = "while the connection is open"
    OVER = "after the end of the connection"


class Socket:
    """One connection.

    Args:
        window_bytes: Bytes that may be on their way in each direction.

    Attributes:
        to_client: What the application has sent and the client has not taken.
    """

    def __init__(self, window_bytes: int) -> None:
        self.to_client: Pipe[str | bytes | Accepted | Refused | Closed] = Pipe(window_bytes)
        self._to_app: Pipe[AsgiEvent] = Pipe(window_bytes)
        self._to_app.put_nowait({"type": "websocket.connect"})
        self._state = _State.CONNECTING
        self._client_left = False
        self._refusal: tuple[int, dict[str, str], bytes] | None = None

    # ── The application's side ──

    async def receive(self) -> AsgiEvent:
        """Give the application its next event (ASGI)."""
        event = await self._to_app.get()
        if event["type"] == "websocket.disconnect":
            self._state = _State.OVER
            self.to_client.break_off(ClientGone)
            # A server tells the end again to whoever asks again.
            self._to_app.put_nowait(event)
        return event

    async def send(self, event: AsgiEvent) -> None:
        """Take an event of the application's (ASGI); wait while the client does not read.

        Raises:
            ClientGone: The client has closed or dropped the connection.
            RuntimeError: The event does not fit the state.
        """
        kind = event["type"]
        if self._client_left and self._state is _State.OVER:
            raise ClientGone
        match self._state, kind:
            case _State.CONNECTING, "websocket.accept":
                self._state = _State.OPEN
                self.to_client.put_nowait(Accepted(event.get("subprotocol"), _headers(event)))
            case _State.CONNECTING, "websocket.close":
                self._refuse(403, {}, b"")
            case _State.CONNECTING, "websocket.http.response.start":
                self._state = _State.REFUSING
                self._refusal = (event["status"], _headers(event), b"")
            case _State.REFUSING, "websocket.http.response.body":
                assert self._refusal is not None  # its start made the state
                status, headers, body = self._refusal
                self._refusal = (status, headers, body + event.get("body", b""))
                if not event.get("more_body"):
                    self._refuse(*self._refusal)
            case _State.OPEN, "websocket.send":
                await self._send_message(event)
            case _State.OPEN, "websocket.close":
                self._close(event.get("code", 1000), event.get("reason") or "")
            case _:
                raise RuntimeError(f"application sent {kind!r} {self._state.value}")

    def returned(self, error: BaseException | None) -> None:
        """Know that the application has returned or raised: end as a server does."""
        if self._state in (_State.CONNECTING, _State.REFUSING):
            self._refuse(500, {}, b"Internal Server Error")
        elif self._state is _State.OPEN:
            self._close(CloseCode.NORMAL if error is None else CloseCode.INTERNAL_ERROR, "")

    async def _send_message(self, event: AsgiEvent) -> None:
        text, data = event.get("text"), event.get("bytes")
        message = data if text is None else text
        if not isinstance(message, str | bytes) or (isinstance(text, str) and data is not None):
            raise RuntimeError("application sent a message that is neither text nor bytes, or both")
        if not self._client_left:
            await self.to_client.put(
                message, len(message) if isinstance(message, bytes) else len(message.encode())
            )

    def _refuse(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self._state = _State.OVER
        self.to_client.put_nowait(Refused(status, headers, body))
        self._to_app.put_nowait({"type": "websocket.disconnect", "code": int(CloseCode.ABNORMAL)})

    def _close(self, code: int, reason: str) -> None:
        self._state = _State.OVER
        self.to_client.put_nowait(Closed(code, reason))
        self._to_app.break_off(ClientGone)
        self._to_app.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})

    # ── The client's side ──

    @property
    def is_over(self) -> bool:
        """Whether either side has ended the connection."""
        return self._client_left or self._state is _State.OVER

    async def send_to_app(self, message: str | bytes) -> None:
        """Send a message; wait while the application does not receive.

        Raises:
            ClientGone: The connection has ended.
        """
        if isinstance(message, str):
            await self._to_app.put({"type": "websocket.receive", "text": message}, len(message.encode()))
        else:
            await self._to_app.put({"type": "websocket.receive", "bytes": message}, len(message))

    async def close_by_client(self, code: int | None, reason: str) -> None:
        """Send a close frame, behind all messages. What comes from now on is not read."""
        event: AsgiEvent = {"type": "websocket.disconnect", "code": code or _NO_STATUS, "reason": reason}
        await self._to_app.put(event, len(reason))
        self._leave()

    def abort_by_client(self) -> None:
        """Drop the connection."""
        if not self.is_over:
            self._to_app.put_nowait({"type": "websocket.disconnect", "code": int(CloseCode.ABNORMAL)})
            self._leave()
            self._state = _State.OVER
            self.to_client.break_off(ClientGone)

    def _leave(self) -> None:
        self._client_left = True
        self._to_app.break_off(ClientGone)
        # An application that waits to send goes on: a closing client takes what comes, and drops it.
        while self.to_client.get_nowait() is not None:
            pass


def _headers(event: AsgiEvent) -> dict[str, str]:
    return {
        name.decode("latin-1").lower(): value.decode("latin-1") for name, value in event.get("headers") or ()
    }
