"""The load of echoes: clients that each keep some messages under way to their own handler, and check every reply.

A client sends a ring of messages over and over. The first time round each reply is read and compared in meaning; from
then on the bytes of the replies must be the same again, in the same order.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from bench.frames import CLOSE, PING, client_frame, read_head
from bench.load.carrier import Carrier, LoopCarrier
from bench.load.pace import Meter
from bench.load.pump import PumpCarrier
from bench.load.stream import Stream
from bench.process import Server
from bench.programs import Program
from bench.sample import Sample
from roomful.core.ledger import mark

__all__ = ("Echo",)

_RING = 64
_FIRST_ID = 100  # three digits, so that all frames are of one size
_LEARN_S = 20.0
_GRACE_S = 5.0


class _Client:
    """One client. Its replies are its own, so that all that comes is for it to check.

    Attributes:
        got: Replies that it has got.
        sent: Messages that it has sent.
        fault: What was wrong first, if anything.
    """

    is_slow = True

    def __init__(self, number: int, write: Callable[[bytes], None], echo: Echo) -> None:
        self._write = write
        self._echo = echo
        self._payloads = [echo.payload(number, index) for index in range(_RING)]
        frames = [client_frame(payload) for payload in self._payloads]
        self._frame_size = len(frames[0])
        # Twice, so that any stretch of messages is one slice.
        self._out = b"".join(frames) * 2
        self._in = b""
        self._reply_size = 0
        self._at = 0
        self._rest = b""
        self._learned: list[bytes] = []
        self.under_way = 1
        self.is_posting = True
        self.got = 0
        self.sent = 0
        self.fault: str | None = None
        self.at = 0
        self.pong: Callable[[bytes], None] | None = None

    @property
    def has_learned(self) -> bool:
        """Whether it knows every reply by its bytes."""
        return bool(self._in)

    def go_on(self) -> None:
        """Send what may be under way."""
        count = self.under_way - (self.sent - self.got)
        if count > 0 and self.is_posting:
            begin = self.sent % _RING * self._frame_size
            self._write(self._out[begin : begin + count * self._frame_size])
            self.sent += count

    def feed(self, data: bytes) -> None:
        """Check replies, and send on."""
        at = self._at
        if not self._rest and self._in.startswith(data, at):
            at += len(data)
            before, self._at = at - len(data), at % (_RING * self._reply_size)
            self.got += at // self._reply_size - before // self._reply_size
        else:
            self._read(data)
        self.go_on()

    def ended(self) -> None:
        """Know that the server hung up."""
        self.fault = self.fault or "connections ended"

    def _read(self, data: bytes) -> None:
        """Read frames one by one: while learning, and around the server's pings."""
        if self._in:
            part = self._at % self._reply_size
            data = self._in[self._at - part : self._at] + self._rest + data
            self._at -= part
        else:
            data = self._rest + data
        start = 0
        while (head := read_head(data, start)) is not None and head.end <= len(data):
            if head.opcode == PING:
                if self.pong is not None:
                    self.pong(data[head.payload_at : head.end])
            elif head.opcode < CLOSE:
                self._take(data[start : head.end], data[head.payload_at : head.end])
            start = head.end
        self._rest = data[start:]

    def _take(self, frame: bytes, payload: bytes) -> None:
        if self._in:
            if not self._in.startswith(frame, self._at):
                self.fault = self.fault or "replies differ"
            self._at = (self._at + len(frame)) % (_RING * self._reply_size)
        else:
            sent = self._payloads[self.got % _RING]
            if payload != sent and not self._echo.answers(sent, payload):
                self.fault = self.fault or "replies wrong"
            self._learned.append(frame)
            if len(self._learned) == _RING:
                if len({len(reply) for reply in self._learned}) != 1:
                    self.fault = self.fault or "replies of different sizes"
                self._in = b"".join(self._learned) * 2
                self._reply_size = len(frame)
        self.got += 1


@dataclass(frozen=True, slots=True)
class Echo:
    """So many clients, each with `under_way` messages under way at any time, for a given time."""

    connections: int
    under_way: int
    size: int = 128
    is_event: bool = False
    asks: bool = False

    @property
    def program(self) -> Program:
        """What the server must run."""
        if self.asks:
            return Program.QUERY
        return Program.EVENT if self.is_event else Program.ECHO

    def payload(self, client: int, index: int) -> bytes:
        """Return a client's message."""
        number = _FIRST_ID + index
        if not self.is_event:
            return mark("b", f"c{client:03}", number, 0.0, self.size).data
        text = mark("b", f"c{client:03}", number, 0.0, self.size - 56).data.decode()
        event = {"type": "post", "id": number, "data": {"room": "lobby", "text": text}}
        return json.dumps(event, separators=(",", ":")).encode()

    def answers(self, message: bytes, reply: bytes) -> bool:
        """Whether a reply that is not the message itself answers it: the data under the message's id."""
        if not self.is_event:
            return False
        sent, got = json.loads(message), json.loads(reply)
        return bool(got == {"reply": sent["id"], "data": sent["data"]})

    async def run(self, server: Server, *, seconds: float) -> Sample:
        """Do one round."""
        sample = Sample()
        carrier: Carrier = PumpCarrier(Stream(0x1000)) if PumpCarrier.is_there() else LoopCarrier()
        clients = [
            _Client(number, partial(carrier.write, number), self) for number in range(self.connections)
        ]
        try:
            await carrier.connect(server.ports, [f"/{self.program}"] * self.connections, clients)
            if await self._learn(carrier, clients, _LEARN_S * (4 if self.asks else 1)):
                await server.settle()
                await self._measure(server, carrier, clients, sample, seconds)
            else:
                sample.faults["stalled"] = 1
            for client in clients:
                if client.fault is not None:
                    sample.faults[client.fault] = sample.faults.get(client.fault, 0) + 1
        finally:
            carrier.close()
            await server.settle()
        return sample

    @staticmethod
    async def _learn(carrier: Carrier, clients: Sequence[_Client], within_s: float) -> bool:
        deadline = time.perf_counter() + within_s
        for client in clients:
            client.go_on()
        await carrier.run(
            lambda: not all(client.has_learned for client in clients) and time.perf_counter() < deadline
        )
        return await _finish(carrier, clients) and all(client.has_learned for client in clients)

    async def _measure(
        self, server: Server, carrier: Carrier, clients: Sequence[_Client], sample: Sample, seconds: float
    ) -> None:
        before = sum(client.got for client in clients)
        meter = Meter(server, carrier)
        for client in clients:
            client.under_way = self.under_way
            client.is_posting = True
            client.go_on()
        deadline = time.perf_counter() + seconds
        await carrier.run(lambda: time.perf_counter() < deadline)
        in_time = await _finish(carrier, clients)
        meter.stop(sum(client.got for client in clients) - before, sample)
        if not in_time:
            sample.faults["replies missing"] = sum(client.sent - client.got for client in clients)


async def _finish(carrier: Carrier, clients: Sequence[_Client]) -> bool:
    """Stop sending, and wait for the last replies; return whether they came in time."""
    for client in clients:
        client.is_posting = False
    deadline = time.perf_counter() + _GRACE_S
    await carrier.run(
        lambda: any(client.got < client.sent for client in clients) and time.perf_counter() < deadline
    )
    return all(client.got == client.sent for client in clients)
