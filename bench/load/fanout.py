"""The load of a room: one member posts, with so many messages under way, and every member checks what it gets."""

from __future__ import annotations

import asyncio
import ssl
import time
from dataclasses import dataclass

from bench.frames import client_frame
from bench.load.client import Client, Poster, connect_all
from bench.load.judge import judge
from bench.load.pace import Meter
from bench.load.stream import Stream
from bench.process import Server
from bench.programs import Program
from bench.sample import Sample
from roomful.core.ledger import mark

__all__ = ("Fanout", "Room", "client_context")

_RUN = "b"
_POSTER = "p"
_GRACE_S = 15.0
"""Time for what is under way when the posting ends; the slowest server needs 5 s for 16 messages to 2,000."""
_LOOK_S = 0.02
_MAX_BEHIND_BYTES = 4 << 20
_MAX_MESSAGES = 200_000


def client_context() -> ssl.SSLContext:
    """Return a context that trusts whoever answers: the certificate is our own and of today."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Room:
    """The members of one room during one round, and what was posted to it.

    Args:
        size: Bytes of each message.
        reply: Payload of the reply that the poster gets for each message, if it gets one.
    """

    def __init__(self, *, size: int, reply: bytes | None = None) -> None:
        self.stream = Stream()
        self.members: list[Client] = []
        self.posted: list[int] = []
        self._size = size
        self._reply = reply

    @property
    def poster(self) -> Client:
        """The member that posts."""
        return self.members[0]

    async def fill(self, server: Server, members: int, path: str) -> None:
        """Connect the members."""

        def ready(number: int, transport: asyncio.Transport) -> Client:
            kind = Poster if number == 0 else Client
            client = kind(transport, self.stream, reply=self._reply if number == 0 else None)
            members_by_number[number] = client
            return client

        members_by_number: dict[int, Client] = {}
        tls = client_context() if server.tls else None
        await connect_all(server.port, [path] * members, ready, tls=tls)
        self.members = [members_by_number[number] for number in range(members)]

    def post(self, count: int, at: float = 0.0) -> None:
        """Send the next messages, in one write."""
        frames = []
        for _ in range(count):
            marked = mark(_RUN, _POSTER, len(self.posted) + 1, at, self._size)
            self.posted.append(marked.digest)
            frames.append(client_frame(marked.data))
        self.poster.transport.write(b"".join(frames))

    @property
    def is_level(self) -> bool:
        """Whether every member has got everything, and the poster its replies."""
        return (
            len(self.stream.ends) == len(self.posted)
            and all(member.is_level or member.frames == len(self.posted) for member in self.members)
            and (self._reply is None or self.poster.replies == len(self.posted))
        )

    @property
    def behind(self) -> int:
        """How many bytes the slowest member is behind the quickest."""
        return len(self.stream.data) - min(member.at for member in self.members)

    async def become_level(self, timeout_s: float = _GRACE_S) -> bool:
        """Wait until it is; return whether it was in time."""
        deadline = time.monotonic() + timeout_s
        while not self.is_level:
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.002)
        return True

    def judge(self, sample: Sample) -> None:
        """Write into a sample what was wrong."""
        sample.faults.update(judge({_POSTER: self.posted}, self.stream, self.members))
        if self._reply is not None and self.poster.replies != len(self.posted):
            sample.faults["replies missing"] = len(self.posted) - self.poster.replies
        ended = sum(member.lost for member in self.members)
        if ended:
            sample.faults["connections ended"] = ended

    def leave(self) -> None:
        """Let all members go."""
        for member in self.members:
            member.transport.abort()


@dataclass(frozen=True, slots=True)
class Fanout:
    """A room whose poster has `under_way` messages under way at any time.

    It posts the next as soon as one of its own has come back, for a given time.
    """

    members: int
    under_way: int
    size: int = 128
    reply: bool = False

    @property
    def program(self) -> Program:
        """What the server must run."""
        return Program.REPLY if self.reply else Program.FANOUT

    async def run(self, server: Server, *, seconds: float) -> Sample:
        """Do one round."""
        sample = Sample()
        room = Room(size=self.size, reply=b"ok" if self.reply else None)
        try:
            await room.fill(server, self.members, f"/{self.program}")
            room.post(self.under_way)
            if not await room.become_level():
                sample.faults["stalled"] = 1
                return sample
            await server.settle()
            await self._measure(server, room, sample, seconds)
            room.judge(sample)
        finally:
            room.leave()
            await server.settle()
        return sample

    async def _measure(self, server: Server, room: Room, sample: Sample, seconds: float) -> None:
        before = len(room.posted)
        most_behind = 0
        deadline = time.perf_counter() + seconds

        def go_on() -> None:
            free = self.under_way - (len(room.posted) - room.poster.frames)
            if free > 0 and time.perf_counter() < deadline and len(room.posted) < _MAX_MESSAGES:
                room.post(free)

        meter = Meter(server)
        room.poster.after_feed = go_on
        room.post(self.under_way)
        while time.perf_counter() < deadline:
            await asyncio.sleep(_LOOK_S)
            most_behind = max(most_behind, room.behind)
        in_time = await room.become_level()
        meter.stop((len(room.posted) - before) * self.members, sample)
        if not in_time:
            sample.faults["stalled"] = 1
        if most_behind > _MAX_BEHIND_BYTES:
            sample.faults["the load did not keep up"] = most_behind
        sample.figures["behind"] = most_behind
