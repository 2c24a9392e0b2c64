"""Telling browsers: middleware that turns refused handshakes into close codes, which a page can read.

It refuses nobody, and changes nothing once the handshake is answered.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, TypeAlias

from ..assembly import Hub
from ..consumers import Scope
from ..core.access import SCOPE_TELLS, SUBPROTOCOL
from ..core.close_codes import CloseCode, close_code_for_status
from ..core.refusal import offered_subprotocol, reason_of_response
from .asgi_wire import Receive, Send

__all__ = ("TellBrowsers",)

App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
AsgiEvent: TypeAlias = MutableMapping[str, Any]

_RESPONSE: Final = "websocket.http.response"
_MAX_BODY_BYTES: Final = 4096
"""More than a close frame holds, with the JSON that may stand around it."""


class TellBrowsers:
    """ASGI middleware: a WebSocket that is refused is accepted first and then closed with the matching code.

        app.add_middleware(TellBrowsers, hub=hub)  # FastAPI, Starlette
        application = TellBrowsers(ProtocolTypeRouter({…}), hub=hub)  # Channels, bare ASGI

    What a hub refuses says so by itself (`Admission(tell_browsers=True)`); this is for what stands around it, too: a
    path that leads nowhere, a dependency that raises, an `OriginValidator`, or other middleware. A response becomes the
    code that says the same, and its text, or its `detail`, the reason. A close before accepting keeps its own code;
    without one it is 4501, as servers answer it with 403.

    Args:
        app: The application.
        hub: Whose authenticators say which of the offered subprotocols are secrets. Without it none is answered but
            `roomful`, and a page that offers others alone hears no code.
    """

    def __init__(self, app: App, *, hub: Hub | None = None) -> None:
        self._app = app
        self._hub = hub

    def __repr__(self) -> str:
        return f"<TellBrowsers {self._app!r}>"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection scope (ASGI 3)."""
        if scope["type"] != "websocket":
            await self._app(scope, receive, send)
            return
        # Whatever the server can do: a response is not passed on.
        scope["extensions"] = {**(scope.get("extensions") or {}), _RESPONSE: {}}
        scope[SCOPE_TELLS] = True
        handshake = _Handshake(scope, receive, send, self._hub)
        await self._app(scope, handshake.receive, handshake.send)


class _Handshake:
    """The `receive` and `send` of one WebSocket, until it is answered."""

    __slots__ = ("_body", "_has_begun", "_hub", "_is_answered", "_receive", "_scope", "_send", "_status")

    def __init__(self, scope: Scope, receive: Receive, send: Send, hub: Hub | None) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._hub = hub
        self._has_begun = False
        self._is_answered = False
        self._status = 403
        self._body = b""

    async def receive(self) -> AsgiEvent:
        """Return the server's next event."""
        event = await self._receive()
        self._has_begun = True
        return event

    async def send(self, event: AsgiEvent) -> None:
        """Pass an event on, unless it refuses."""
        kind = event["type"]
        if self._is_answered:
            await self._send(event)
        elif kind == "websocket.close":
            code = event.get("code", CloseCode.NORMAL)
            await self._close(
                CloseCode.FORBIDDEN if code == CloseCode.NORMAL else code, event.get("reason") or ""
            )
        elif kind == f"{_RESPONSE}.start":
            self._status = event["status"]
        elif kind == f"{_RESPONSE}.body":
            self._body = (self._body + event.get("body", b""))[:_MAX_BODY_BYTES]
            if not event.get("more_body", False):
                await self._close(
                    close_code_for_status(self._status), reason_of_response(self._status, self._body)
                )
        else:
            self._is_answered = True
            await self._send(event)

    async def _close(self, code: int, reason: str) -> None:
        self._is_answered = True
        if not self._has_begun and (await self._receive())["type"] != "websocket.connect":
            return  # the client went before its handshake
        await self._send({"type": "websocket.accept", "subprotocol": self._answer()})
        await self._send({"type": "websocket.close", "code": int(code), "reason": reason})

    def _answer(self) -> str | None:
        if self._hub is None:
            return SUBPROTOCOL if SUBPROTOCOL in (self._scope.get("subprotocols") or ()) else None
        self._hub.gate.conceal(self._scope)
        return offered_subprotocol(self._scope)
