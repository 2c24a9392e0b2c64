"""The load of queries: clients that ask, wait for the answer, and keep how long it took.

A client has one question under way. With an interval it asks by the clock, and what it could not ask in time counts
from when it should have been asked; without one it asks again as soon as it has the answer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

from bench.frames import CLOSE, PING, client_frame, read_head
from bench.load.carrier import pong_frame, request

__all__ = ("Answers", "Asker", "connect_all")

_CONNECTING_AT_ONCE = 20
_CONNECT_S = 20.0


@dataclass(slots=True)
class Answers:
    """How long answers took.

    Attributes:
        took: Of each answer, in seconds.
        faults: What went wrong, and how often.
    """

    took: list[float] = field(default_factory=list)
    faults: dict[str, int] = field(default_factory=dict)

    def fault(self, name: str) -> None:
        """Count what went wrong."""
        self.faults[name] = self.faults.get(name, 0) + 1

    def percentile(self, share: float) -> float | None:
        """Return the time within which a share of the answers came, or None when none did."""
        took = sorted(self.took)
        return took[min(len(took) - 1, int(len(took) * share))] if took else None


class Asker(asyncio.Protocol):
    """One client.

    Args:
        port: The server's.
        text: What it asks.
        interval_s: How often it asks; None for as often as it is answered.
    """

    def __init__(self, port: int, text: str, interval_s: float | None = None) -> None:
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.is_waiting = False
        self._request = request(port, "/query")
        self._text = text.encode()
        self._frame = client_frame(self._text)
        self._interval_s = interval_s
        self._transport: asyncio.Transport | None = None
        self._answers: Answers | None = None
        self._next: asyncio.TimerHandle | None = None
        self._rest = b""
        self._since = 0.0
        self._until = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the handshake."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Take answers."""
        data = self._rest + data
        if not self.opened.done():
            head, separator, data = data.partition(b"\r\n\r\n")
            if not separator:
                self._rest = head
                return
            if b" 101 " in head[:16]:
                self.opened.set_result(None)
            else:
                self.opened.set_exception(ConnectionError(f"refused: {head[:60]!r}"))
        start = 0
        while (found := read_head(data, start)) is not None and found.end <= len(data):
            payload = data[found.payload_at : found.end]
            if found.opcode == PING and self._transport is not None:
                self._transport.write(pong_frame(payload))
            elif found.opcode < CLOSE:
                self._answered(payload)
            start = found.end
        self._rest = data[start:]

    def connection_lost(self, exc: Exception | None) -> None:
        """Know that the server hung up."""
        if self._answers is not None and self.is_waiting:
            self._answers.fault("connections ended")
        if not self.opened.done():
            self.opened.set_exception(exc or ConnectionError("connection ended before it was accepted"))

    def begin(self, answers: Answers, *, until: float, delay_s: float = 0.0) -> None:
        """Ask from `delay_s` on until a time; go on with what is under way."""
        self._answers, self._until = answers, until
        self._since = time.perf_counter() + delay_s
        self._ask_in(delay_s)

    def close(self) -> None:
        """Hang up."""
        self._answers = None
        if self._next is not None:
            self._next.cancel()
        if self._transport is not None:
            self._transport.abort()

    def _ask(self) -> None:
        if self._transport is not None and not self.is_waiting and self._since < self._until:
            self.is_waiting = True
            self._transport.write(self._frame)

    def _answered(self, payload: bytes) -> None:
        answers, now = self._answers, time.perf_counter()
        if answers is None or not self.is_waiting:
            return
        self.is_waiting = False
        if payload != self._text:
            answers.fault("answers wrong")
        answers.took.append(now - self._since)
        if self._interval_s is None:
            self._since = now
            self._ask()
        else:
            self._since += self._interval_s
            self._ask_in(max(0.0, self._since - now))

    def _ask_in(self, delay_s: float) -> None:
        if self._next is not None:
            self._next.cancel()
        self._next = asyncio.get_running_loop().call_later(delay_s, self._ask)


async def connect_all(port: int, texts: Sequence[str], interval_s: float | None = None) -> list[Asker]:
    """Connect a client for each text, some at a time.

    Raises:
        ConnectionError: The server did not accept one.
        TimeoutError: It did not answer in time.
    """
    loop, askers = asyncio.get_running_loop(), []
    for begin in range(0, len(texts), _CONNECTING_AT_ONCE):
        some = [Asker(port, text, interval_s) for text in texts[begin : begin + _CONNECTING_AT_ONCE]]
        for asker in some:
            await loop.create_connection(lambda asker=asker: asker, "127.0.0.1", port)  # type: ignore[misc] # a default
        async with asyncio.timeout(_CONNECT_S):
            await asyncio.gather(*(asker.opened for asker in some))
        askers += some
    return askers
