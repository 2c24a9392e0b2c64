"""The class for uvicorn's `ws=` setting: the handshake, the ASGI call and the shutdown around a wire.

It refuses what is no WebSocket handshake, runs the application for what is one, and keeps nothing of either once the
connection is accepted and adopted. HTTP stays uvicorn's.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from ..core.close_codes import CloseCode
from ..core.errors import InvalidState
from .asgi import AsgiCall
from .contract import client_of, is_tls, server_of
from .handshake import Handshake, HandshakeRefused, read_handshake, refusal
from .states import State
from .wire import LINGER_S, SocketWire

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from .contract import Config, Scope, ServerState

__all__ = ("WebSocketProtocol",)

logger: Final = logging.getLogger("uvicorn.error")


class WebSocketProtocol(SocketWire):
    """One client's WebSocket under uvicorn, in full: `uvicorn app:app --ws roomful.server:WebSocketProtocol`.

    Any ASGI application can use it; `scope["extensions"]["roomful.connection"]` offers the socket itself, see
    `Adoption`.

    Args:
        config: uvicorn's settings. `ws_max_size`, `ws_max_queue`, `ws_ping_interval` and `ws_ping_timeout` hold here;
            `ws_per_message_deflate` does not, as nothing is compressed yet.
        server_state: What uvicorn's protocols share.
        app_state: The state that the application's lifespan has filled.
    """

    __slots__ = ("_app_state", "_config", "_handshake", "_server_state")

    def __init__(self, config: Config, server_state: ServerState, app_state: dict[str, object]) -> None:
        if not config.loaded:
            config.load()
        super().__init__(config.ws_max_size)
        self._config = config
        self._server_state = server_state
        self._app_state: dict[str, object] | None = app_state
        self._handshake: Handshake | None = None

    # ── uvicorn ──

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport, and let uvicorn know of this connection."""
        super().connection_made(transport)
        self._server_state.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Know that the socket is gone."""
        if self._handshake is None:
            logger.info("connection closed")
        self._server_state.connections.discard(self)
        self._handshake = None
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """End because the server stops: as the peer does it, or with 503 when nothing is accepted yet."""
        if self._state is State.HANDSHAKE:
            self.refuse(503, b"Service Unavailable", ())
            self._tell_lost(CloseCode.ABNORMAL, "")
        else:
            self._peer.going_away()

    def _take(self, data: bytes) -> None:
        if self._app_state is not None:
            self._open(data, self._app_state)
        else:
            super()._take(data)

    def _open(self, request: bytes, app_state: dict[str, object]) -> None:
        """Read the request and start the application."""
        self._app_state = None
        transport, state = self._transport, self._server_state
        base: Scope = {
            "asgi": {"version": self._config.asgi_version, "spec_version": "2.4"},
            "scheme": "wss" if is_tls(transport) else "ws",
            "server": server_of(transport),
            "client": client_of(transport),
            "state": app_state.copy(),
        }
        try:
            handshake = read_handshake(request, base, self._config.root_path, state.default_headers)
        except HandshakeRefused as refused:
            self._answer_and_end(refused.response)
            return
        self._handshake = handshake
        limit = self._config.limit_concurrency
        if limit is not None and (len(state.connections) >= limit or len(state.tasks) >= limit):
            # uvicorn's HTTP classes say the same; its WebSocket classes forget it.
            logger.warning("Exceeded concurrency limit.")
            self.refuse(503, b"Service Unavailable", ())
            return
        call = AsgiCall(self, handshake.scope, self._config)
        self._peer = call
        task = call.start()
        state.tasks.add(task)
        task.add_done_callback(state.tasks.discard)

    # ── Wire ──

    def accept(self, subprotocol: str | None, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Accept the handshake. Does nothing when the client has gone.

        Raises:
            InvalidState: It was accepted before.
            ValueError: A header or the subprotocol cannot stand in a response; nothing was sent.
        """
        if self._state >= State.CLOSING:
            return
        self.write(self._pending().accept(subprotocol, headers))
        logger.info("connection open")
        self._handshake = None
        self._opened()

    def refuse(self, status: int, body: bytes, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Refuse the handshake with an HTTP response. Does nothing when the client has gone.

        Raises:
            InvalidState: It was accepted before.
            ValueError: The status or a header cannot stand in a response; nothing was sent.
        """
        if self._state < State.CLOSING:
            self._answer_and_end(self._pending().refuse(status, body, headers))

    def close(self, code: int, reason: str, *, linger_s: float | None = None) -> None:
        """See `SocketWire.close`; a connection that is not accepted yet is refused with 403."""
        if self._state is State.HANDSHAKE:
            self.refuse(403, b"", ())
        else:
            super().close(code, reason, linger_s=linger_s)

    def fail_application(self, code: int) -> None:
        """End because the application raised, or never answered: 500 before it is accepted, `code` after."""
        if self._state is State.HANDSHAKE:
            self._answer_and_end(refusal(500, b"Internal Server Error", ()))
        self.end(code)

    def _pending(self) -> Handshake:
        if self._handshake is None:
            raise InvalidState("connection has been accepted already")
        return self._handshake

    def _answer_and_end(self, response: bytes) -> None:
        self.write(response)
        self._transport.close()
        self._state = State.ENDED
        self._end_within(LINGER_S)
