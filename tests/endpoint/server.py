"""An ASGI server that a test plays: it says what comes, and keeps what goes."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

Event = MutableMapping[str, Any]


class Server:
    """One WebSocket's `receive` and `send`.

    Attributes:
        sent: The events that the application sent, each a copy.
        taken: How many events `receive` has handed over.
        gate: When set, `send` waits for it before it takes an event.
        fails: When set, `send` raises it.
        answers_close: Whether a close is answered with a disconnect, as servers do.
    """

    def __init__(self) -> None:
        self.sent: list[Event] = []
        self.taken = 0
        self.gate: asyncio.Event | None = None
        self.fails: Exception | None = None
        self.answers_close = True
        self.sending = 0
        self._events: asyncio.Queue[Event | Exception] = asyncio.Queue(100)

    def says(self, *events: Event | Exception) -> None:
        """Let `receive` return these, or raise them."""
        for event in events:
            self._events.put_nowait(event)

    def connects(self) -> None:
        self.says({"type": "websocket.connect"})

    def hears(self, *messages: str | bytes) -> None:
        """Let the client send these."""
        for message in messages:
            kind = "text" if isinstance(message, str) else "bytes"
            self.says({"type": "websocket.receive", kind: message})

    def loses(self, code: int | None = 1006, reason: str | None = None) -> None:
        """Let the socket end."""
        event: Event = {"type": "websocket.disconnect", "code": code}
        if reason is not None:
            event["reason"] = reason
        self.says(event)

    async def receive(self) -> Event:
        event = await self._events.get()
        if isinstance(event, Exception):
            raise event
        self.taken += 1
        return event

    async def send(self, event: Event) -> None:
        self.sending += 1
        assert self.sending == 1, "send is awaited by one task at a time"
        try:
            if self.gate is not None:
                await self.gate.wait()
            if self.fails is not None:
                raise self.fails
            self.sent.append(event)
            ends = event["type"] in ("websocket.close", "websocket.http.response.body")
            if ends and self.answers_close:
                self.loses(event.get("code", 1006))
        finally:
            self.sending -= 1

    @property
    def types(self) -> list[str]:
        """What kinds of events were sent."""
        return [event["type"].removeprefix("websocket.") for event in self.sent]

    @property
    def messages(self) -> list[str | bytes]:
        """The messages that were sent."""
        return [
            event["text"] if "text" in event else event["bytes"]
            for event in self.sent
            if event["type"] == "websocket.send"
        ]
