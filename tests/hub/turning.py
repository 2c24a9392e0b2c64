"""Turns of one fake handler."""

from __future__ import annotations

import asyncio
import contextvars

from roomful.core.limits import Limits
from roomful.core.names import ConnectionId
from roomful.hub.parking import Parking
from roomful.hub.statistics import Counters
from roomful.hub.turns import Turns
from tests.clock import passes
from tests.fakes import FakeHandler

LIMITS = Limits(max_inbox_messages=8, max_inbox_bytes=1000, handler_grace_s=2, cancel_timeout_s=5)


class TurnsScene:
    """Turns of one fake handler; `log` has what they told to the outside."""

    def __init__(self, parking: Parking | None = None) -> None:
        self.handler = FakeHandler()
        self.counters = Counters()
        self.log: list[str] = []
        self.turns = Turns(
            ConnectionId("c"),
            self.handler,
            limits=LIMITS,
            counters=self.counters,
            read_on=lambda: self.log.append("read on"),
            ended=lambda: self.log.append("ended"),
            parking=parking,
        )

    def begin(self) -> None:
        self.turns.begin(contextvars.copy_context())

    def block(self) -> asyncio.Event:
        """Let handlers wait for what is returned."""
        self.handler.gate = asyncio.Event()
        return self.handler.gate

    async def let_one_finish(self) -> None:
        """Open the gate for the handler that waits at it, and for no other."""
        assert self.handler.gate is not None
        await passes()
        finished = len(self.handler.finished)
        self.handler.gate.set()
        self.handler.gate.clear()
        await passes(2)
        assert len(self.handler.finished) == finished + 1
