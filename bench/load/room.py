"""A room as the load sees it: its members, what was posted to it, and whether all of them have got it."""

from __future__ import annotations

import time

from bench.frames import client_frame
from bench.load.carrier import Carrier, LoopCarrier, client_context
from bench.load.dialect import PLAIN, Dialect
from bench.load.judge import judge
from bench.load.pump import PumpCarrier
from bench.load.stream import Follower, Stream
from bench.process import Server
from bench.sample import Sample
from roomful.core.ledger import mark

__all__ = ("Room",)

_RUN = "b"
_GRACE_S = 15.0
"""Time for what is under way when the posting ends; the slowest server needs 5 s for 16 messages to 2,000."""


class Room:
    """The members of one room during one round; the first of them post.

    Args:
        server: Where the room is.
        size: Bytes of each message.
        prefix: What each message begins with, such as the room's name.
        reply: Payload of the reply that the poster gets for each message, if it gets one.
        capacity: Bytes that one member may get in the round.
        log_size: How many reads are noted with their time.
        dialect: How messages are dressed.
    """

    def __init__(
        self,
        server: Server,
        *,
        size: int,
        prefix: bytes = b"",
        reply: bytes | None = None,
        capacity: int = 1 << 26,
        log_size: int = 0,
        dialect: Dialect = PLAIN,
    ) -> None:
        self._server = server
        self._size = size - len(prefix)
        self._prefix = dialect.prefix + prefix
        self._suffix = dialect.suffix
        self._dialect = dialect
        self._reply = reply
        self.stream = Stream(capacity)
        self.members: list[Follower] = []
        self.posted: list[int] = []
        self._posted_by: dict[str, list[int]] = {}
        self.carrier: Carrier
        if server.tls:
            self.carrier = LoopCarrier(client_context(), logs=log_size > 0)
        elif PumpCarrier.is_there():
            self.carrier = PumpCarrier(self.stream, log_size=log_size)
        else:
            self.carrier = LoopCarrier(logs=log_size > 0)

    @property
    def poster(self) -> Follower:
        """The member that posts."""
        return self.members[0]

    async def fill(self, members: int, path: str, *, idle: int = 0, idle_path: str = "") -> None:
        """Connect the members, and as many others that get nothing."""
        self.members = [
            Follower(
                self.stream,
                reply=self._reply if number == 0 else None,
                greetings=self._dialect.greetings,
            )
            for number in range(members)
        ]
        silence = Stream(0)
        idlers = [Follower(silence) for _ in range(idle)]
        await self.carrier.connect(
            self._server.ports, [path] * members + [idle_path] * idle, [*self.members, *idlers]
        )
        await self._greet()

    async def _greet(self) -> None:
        """Say what the dialect wants, and wait until every member is let in."""
        if not self._dialect.greetings:
            return
        for number in range(len(self.members)):
            self.carrier.write(number, client_frame(self._dialect.hello))
        wanted = len(self._dialect.greetings)
        deadline = time.perf_counter() + _GRACE_S
        await self.carrier.run(
            lambda: any(member.greeted < wanted for member in self.members) and time.perf_counter() < deadline
        )

    def post(self, count: int, at: float = 0.0, *, poster: int = 0) -> None:
        """Send the next messages of one member, in one write."""
        frames = []
        name = f"p{poster}"
        posted = self._posted_by.setdefault(name, [])
        for _ in range(count):
            marked = mark(_RUN, name, len(posted) + 1, at, self._size)
            posted.append(marked.digest)
            self.posted.append(marked.digest)
            frames.append(client_frame(self._prefix + marked.data + self._suffix))
        self.carrier.write(poster, frames[0] if count == 1 else b"".join(frames))

    @property
    def is_level(self) -> bool:
        """Whether every member has got everything, and the poster its replies."""
        self.carrier.sync()
        count = len(self.posted)
        return (
            len(self.stream.ends) == count
            and all(member.is_level or member.frames == count for member in self.members)
            and (self._reply is None or self.poster.replies == count)
        )

    async def become_level(self, timeout_s: float = _GRACE_S) -> bool:
        """Wait until it is; return whether it was in time."""
        deadline = time.perf_counter() + timeout_s
        level = False

        def look() -> bool:
            nonlocal level
            level = self.is_level
            return not level and time.perf_counter() < deadline

        await self.carrier.run(look)
        return level

    def judge(self, sample: Sample) -> None:
        """Write into a sample what was wrong."""
        self.carrier.sync()
        sample.faults.update(judge(self._posted_by, self.stream, self.members))
        if self._reply is not None and self.poster.replies != len(self.posted):
            sample.faults["replies missing"] = len(self.posted) - self.poster.replies
        ended = sum(member.closed is not None for member in self.members)
        if ended:
            sample.faults["connections ended"] = ended

    def leave(self) -> None:
        """Let all members go."""
        self.carrier.close()
