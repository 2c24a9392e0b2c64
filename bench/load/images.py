"""The load of images: one client sends large messages to a handler that takes its time, and counts the answers."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from bench.frames import CLOSE, PING, client_frame, read_head
from bench.load.carrier import pong_frame, request
from bench.process import Server, memory_of
from bench.programs import Program
from bench.sample import Sample
from roomful.core.ledger import mark

__all__ = ("Images",)

_BINARY = 0x2
_SHOWN = 64
_SLACK_S = 30.0
_READ_BYTES = 1 << 16


@dataclass(slots=True)
class _Answers:
    """What came back."""

    texts: list[str] = field(default_factory=list)
    closed: int | None = None


@dataclass(frozen=True, slots=True)
class Images:
    """So many messages of `size` bytes from one client, which waits for its socket to take each.

    Attributes:
        count: How many.
        handler_s: How long the handler takes for each.
        size: Bytes of each.
    """

    count: int
    handler_s: float
    size: int = 1 << 20

    @property
    def program(self) -> Program:
        """What the server must run."""
        return Program.IMAGES

    async def run(self, server: Server, *, seconds: float) -> Sample:
        """Do one round, on a server that is used for no other."""
        del seconds
        sample = Sample()
        sample.figures["before"] = memory_of(server.pid)["resident"]
        images = [mark("b", "i", number, 0.0, self.size).data for number in range(1, self.count + 1)]
        began = time.perf_counter()
        answers = await self._exchange(server, images)
        sample.figures["wall_s"] = time.perf_counter() - began
        sample.figures["missing"] = self.count - len(answers.texts)
        sample.figures["peak"] = memory_of(server.pid)["peak"]
        expected = [f"{self.size} {image[:_SHOWN].decode()}" for image in images]
        if answers.texts != expected[: len(answers.texts)]:
            sample.faults["answers wrong or out of order"] = 1
        if answers.closed is not None:
            sample.remarks.append(f"the server closed with {answers.closed}")
        return sample

    async def _exchange(self, server: Server, images: list[bytes]) -> _Answers:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(request(server.port, "/images"))
        await reader.readuntil(b"\r\n\r\n")
        answers = _Answers()
        reading = asyncio.create_task(self._read(reader, writer, answers))
        try:
            async with asyncio.timeout(self.count * self.handler_s + _SLACK_S):
                for image in images:
                    writer.write(client_frame(image, opcode=_BINARY))
                    await writer.drain()
                await reading
        except (TimeoutError, ConnectionError):
            pass  # what is missing then tells
        finally:
            reading.cancel()
            writer.transport.abort()
        return answers

    async def _read(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answers: _Answers
    ) -> None:
        data = b""
        while len(answers.texts) < self.count:
            try:
                chunk = await reader.read(_READ_BYTES)
            except ConnectionError:
                chunk = b""
            if not chunk:
                answers.closed = answers.closed or 1006
                writer.transport.abort()
                return
            data += chunk
            start = 0
            while (head := read_head(data, start)) is not None and head.end <= len(data):
                payload = data[head.payload_at : head.end]
                if head.opcode == PING:
                    writer.write(pong_frame(payload))
                elif head.opcode == CLOSE:
                    answers.closed = int.from_bytes(payload[:2], "big") or 1005
                elif head.opcode < CLOSE:
                    answers.texts.append(payload.decode())
                start = head.end
            data = data[start:]
