"""A peer as a hub would have one, and applications that let it adopt the socket."""

from __future__ import annotations

import asyncio
from typing import Any

from roomful.core.ports import Wire
from roomful.server import EXTENSION
from tests.server.apps import Receive, Scope, Send
from tests.server.serving import PATIENCE_S

__all__ = ("Adopting", "FakePeer")


class FakePeer:
    """Implements the port `Peer`; keeps what it is told, and answers as it is told."""

    def __init__(self, *, stop_after: int | None = None, echo: bool = False, linger_s: float = 5) -> None:
        self.log: list[Any] = []
        self.messages: list[str | bytes] = []
        self.heards = 0
        self.lost_with: tuple[int, str] | None = None
        self.ended = asyncio.Event()
        self.wire: Wire | None = None
        self.stop_after = stop_after
        self.echo = echo
        self.linger_s = linger_s

    def received(self, message: str | bytes) -> None:
        assert self.lost_with is None, "nothing is called after lost"
        self.log.append(message)
        self.messages.append(message)
        assert self.wire is not None, "the peer is not called before adopt has returned"
        if self.echo:
            from roomful.core.ports import Message

            data = message.encode() if isinstance(message, str) else message
            frame = self.wire.framing.frame([Message(is_text=isinstance(message, str), data=data)])
            self.wire.write(self.wire.framing.join([frame]))
        if self.stop_after is not None and len(self.messages) >= self.stop_after:
            self.wire.stop_reading()

    def paused(self) -> None:
        assert self.lost_with is None
        self.log.append("paused")

    def resumed(self) -> None:
        assert self.lost_with is None
        self.log.append("resumed")

    def heard(self) -> None:
        assert self.lost_with is None
        self.heards += 1

    def going_away(self) -> None:
        assert self.lost_with is None
        assert self.wire is not None
        self.log.append("going away")
        self.wire.close(4001, "bye", linger_s=self.linger_s)

    def lost(self, code: int, reason: str) -> None:
        assert self.lost_with is None, "lost is called once"
        self.lost_with = (int(code), reason)
        self.log.append(self.lost_with)
        self.ended.set()

    async def until_lost(self) -> tuple[int, str]:
        async with asyncio.timeout(PATIENCE_S):
            await self.ended.wait()
        assert self.lost_with is not None
        return self.lost_with


class Adopting:
    """An application that gives its socket to a peer and returns.

    Args:
        peer: Who gets it.
        accept: Who accepts: "asgi" before the adoption, "wire" after it, or nobody.
        take: How many messages to receive through ASGI first.
    """

    def __init__(self, peer: FakePeer, *, accept: str = "wire", take: int = 0) -> None:
        self.peer = peer
        self.accept = accept
        self.take = take
        self.taken: list[Any] = []
        self.adopted = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        handle = scope["extensions"][EXTENSION]
        if self.accept == "asgi":
            await receive()
            await send({"type": "websocket.accept"})
        for _ in range(self.take):
            self.taken.append(await receive())
        await self.before_adoption()
        self.peer.wire = handle.adopt(self.peer)
        if self.accept == "wire":
            self.peer.wire.accept(None, [])
        self.adopted.set()
        await self.after_adoption(receive, send)

    async def before_adoption(self) -> None:
        """Wait for something."""

    async def after_adoption(self, receive: Receive, send: Send) -> None:
        """Do something before the call ends."""

    async def until_adopted(self) -> Wire:
        async with asyncio.timeout(PATIENCE_S):
            await self.adopted.wait()
        assert self.peer.wire is not None
        return self.peer.wire
