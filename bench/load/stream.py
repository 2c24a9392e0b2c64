"""The stream of a room: what its members must get, as the first of them got it. Pure.

All members of a room get the same frames in the same order, so that one comparison of bytes checks a whole read of one
member for order, repetition, loss and damage. Only the first who gets a frame reads it, into the stream. After the run
the ledger judges that stream once, and each member that differed from it for itself.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable

from bench.frames import CLOSE, PING, read_head

__all__ = ("Follower", "Stream")


class Stream:
    """The frames of a room.

    Args:
        capacity: Bytes that it can hold; reserved now, so that the place of the bytes never changes.

    Attributes:
        data: All of them, as a server writes them; `size` bytes of it are in use.
        ends: Where each of them ends.
        payloads_at: Where the payload of each begins.
    """

    __slots__ = ("data", "ends", "payloads_at", "size")

    def __init__(self, capacity: int = 1 << 25) -> None:
        self.data = bytearray(capacity)
        self.size = 0
        self.ends: list[int] = []
        self.payloads_at: list[int] = []

    def append(self, frame: bytes, head_size: int) -> None:
        """Add the next frame.

        Raises:
            OverflowError: It does not fit; the round was too long for its capacity.
        """
        end = self.size + len(frame)
        if end > len(self.data):
            raise OverflowError(f"stream holds {len(self.data)} bytes at most; make the round shorter")
        self.payloads_at.append(self.size + head_size)
        self.data[self.size : end] = frame
        self.ends.append(end)
        self.size = end

    def frames_before(self, offset: int) -> int:
        """Return how many frames end at or before an offset."""
        return bisect_right(self.ends, offset)

    def holds(self, data: bytes, at: int) -> bool:
        """Whether it has these bytes at an offset."""
        return at + len(data) <= self.size and self.data.startswith(data, at)

    def payloads(self, count: int | None = None) -> list[bytes]:
        """Return the payloads of the first frames, by default of all."""
        places = zip(self.payloads_at[:count], self.ends[:count], strict=True)
        return [bytes(self.data[begin:end]) for begin, end in places]


class Follower:
    """One member: how much of the stream it has got, and what it got instead.

    Args:
        stream: Of its room.
        reply: The payload of replies, which are the member's own and not of the room.
        greetings: How payloads begin that only say that it is let in.

    Attributes:
        at: How many bytes of the stream it has got.
        own: Its payloads since it first differed from the stream, or None while it does not.
        own_from: How many frames it shared with the stream before.
        replies: How many replies it has got.
        greeted: How many greetings.
        closed: The code with which the server closed, if it did: 1005 when there was none, 1006 without a close.
        pong: Called with the payload of a ping, to answer it.
        after_feed: Called after each read, for a member that does something about it.
    """

    __slots__ = (
        "_greetings", "_reply", "_rest", "_stream", "after_feed", "at", "closed", "greeted", "own", "own_from", "pong",
        "replies",
    )  # fmt: skip

    def __init__(
        self, stream: Stream, *, reply: bytes | None = None, greetings: tuple[bytes, ...] = ()
    ) -> None:
        self._stream = stream
        self._reply = reply
        self._greetings = greetings
        self.greeted = 0
        self._rest = b""
        self.at = 0
        self.own: list[bytes] | None = None
        self.own_from = 0
        self.replies = 0
        self.closed: int | None = None
        self.pong: Callable[[bytes], None] | None = None
        self.after_feed: Callable[[], None] | None = None

    def feed(self, data: bytes) -> None:
        """Take what was read."""
        at = self.at
        if not self._rest and self._stream.holds(data, at):
            self.at = at + len(data)
        else:
            self._read(data)
        if self.after_feed is not None:
            self.after_feed()

    def ended(self) -> None:
        """Know that the socket has ended."""
        if self.closed is None:
            self.closed = 1006

    @property
    def is_slow(self) -> bool:
        """Whether the next bytes cannot be checked by comparing them with the stream alone."""
        return self.own is not None or bool(self._rest) or self.after_feed is not None

    @property
    def frames(self) -> int:
        """How many whole frames of the room it has got."""
        if self.own is not None:
            return self.own_from + len(self.own)
        return self._stream.frames_before(self.at)

    @property
    def is_level(self) -> bool:
        """Whether it has got the whole stream, and nothing else."""
        return self.own is None and self.at == self._stream.size

    def payloads(self) -> list[bytes]:
        """Return all that it has got of the room."""
        if self.own is None:
            return self._stream.payloads(self.frames)
        return [*self._stream.payloads(self.own_from), *self.own]

    def _read(self, data: bytes) -> None:
        stream = self._stream
        # Back to where a frame begins, so that whole frames can be read.
        begin = stream.ends[index - 1] if (index := stream.frames_before(self.at)) else 0
        data = bytes(stream.data[begin : self.at]) + self._rest + data
        self.at = begin
        start = 0
        while (head := read_head(data, start)) is not None and head.end <= len(data):
            self._take(data[start : head.end], head.opcode, head.payload_at - start)
            start = head.end
        self._rest = data[start:]
        if self._rest and self.own is None and stream.holds(self._rest, self.at):
            self.at += len(self._rest)
            self._rest = b""

    def _take(self, frame: bytes, opcode: int, head_size: int) -> None:
        payload = frame[head_size:]
        if opcode == PING:
            if self.pong is not None:
                self.pong(payload)
        elif opcode == CLOSE:
            self.closed = int.from_bytes(payload[:2], "big") or 1005
        elif opcode > CLOSE:
            pass
        elif payload == self._reply:
            self.replies += 1
        elif payload.startswith(self._greetings):
            self.greeted += 1
        elif self.own is not None:
            self.own.append(payload)
        elif self.at == self._stream.size:
            self._stream.append(frame, head_size)
            self.at += len(frame)
        elif self._stream.holds(frame, self.at):
            self.at += len(frame)
        else:
            self.own_from = self._stream.frames_before(self.at)
            self.own = [payload]
