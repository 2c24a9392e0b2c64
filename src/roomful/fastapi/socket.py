"""The socket that FastAPI's dependencies and exception handlers see: its `send` and `receive` act on our connection.

Messages do not come through it: they go to the consumer's handlers.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import Any, TypeAlias

from ..core.errors import ConnectionClosed, InvalidState
from ..core.refusal import reason_of_response
from ..hub import Connection

__all__ = ("ConnectionSocket",)

AsgiEvent: TypeAlias = MutableMapping[str, Any]


class ConnectionSocket:
    """An ASGI `receive` and `send` over a connection, for the time of one call into FastAPI."""

    __slots__ = ("_body", "_connection", "_headers", "_is_connected", "_status")

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._is_connected = False
        self._status = 403
        self._headers: list[tuple[bytes, bytes]] = []
        self._body = b""

    async def receive(self) -> AsgiEvent:
        """Return the event that opens the connection; there are no others.

        Raises:
            InvalidState: Somebody wants to receive a message.
        """
        if self._is_connected:
            raise InvalidState("messages go to the consumer's handlers; a dependency cannot receive them")
        self._is_connected = True
        return {"type": "websocket.connect"}

    async def send(self, event: AsgiEvent) -> None:
        """Do to the connection what an ASGI event says.

        Raises:
            ConnectionClosed: The connection has ended.
        """
        connection = self._connection
        match event["type"]:
            case "websocket.accept":
                headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in _pairs(event)}
                connection.accept(event.get("subprotocol"), headers)
            case "websocket.send":
                text = event.get("text")
                connection.send(event["bytes"] if text is None else text)
            case "websocket.close":
                self._close(event.get("code", 1000), event.get("reason") or "")
            case "websocket.http.response.start":
                self._status, self._headers = event["status"], list(_pairs(event))
            case "websocket.http.response.body":
                self._body += event.get("body", b"")
                if not event.get("more_body", False):
                    # Only where a close code takes the response's place does anybody read the reason.
                    reason = reason_of_response(self._status, self._body)
                    connection.refuse(self._status, self._body, self._headers, reason)
            case other:
                raise InvalidState(f"event type is {other!r}; a WebSocket has no such event")

    def _close(self, code: int, reason: str) -> None:
        if self._connection.is_lost:
            raise ConnectionClosed(self._connection.code)
        if self._connection.is_opening:
            # As ASGI has it: to close before accepting is to refuse with 403.
            self._connection.refuse(403, b"", [(b"content-length", b"0")], reason)
        else:
            self._connection.close(code, reason)


def _pairs(event: AsgiEvent) -> Iterable[tuple[bytes, bytes]]:
    pairs: Iterable[tuple[bytes, bytes]] = event.get("headers") or ()
    return pairs
