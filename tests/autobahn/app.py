"""An echo for the Autobahn suite, once through plain ASGI and once through a socket that a peer has adopted."""

from __future__ import annotations

from typing import Any

from roomful.core.ports import Message, Wire
from roomful.server import EXTENSION, FRAMING

__all__ = ("app",)


class EchoPeer:
    """Writes back what it receives; stops reading while the transport is full."""

    def __init__(self) -> None:
        self.wire: Wire | None = None

    def received(self, message: str | bytes) -> None:
        assert self.wire is not None
        data = message.encode() if isinstance(message, str) else message
        frame = FRAMING.frame([Message(is_text=isinstance(message, str), data=data)])
        self.wire.write(FRAMING.join([frame]))

    def paused(self) -> None:
        if self.wire is not None:
            self.wire.stop_reading()

    def resumed(self) -> None:
        if self.wire is not None:
            self.wire.start_reading()

    def heard(self) -> None: ...

    def going_away(self) -> None: ...
    def lost(self, code: int, reason: str) -> None: ...


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Serve `/asgi` and `/adopted`."""
    if scope["path"] == "/adopted":
        peer = EchoPeer()
        peer.wire = scope["extensions"][EXTENSION].adopt(peer)
        peer.wire.accept(None, [])
        return
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})
