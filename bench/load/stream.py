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

    Attributes:
        data: All of them, as a server writes them.
        ends: Where each of them ends.
        payloads_at: Where the payload of each begins.
    """

    __slots__ = ("data", "ends", "payloads_at")

    def __init__(self) -> None:
        self.data = bytearray()
        self.ends: list[int] = []
        self.payloads_at: list[int] = []

    def append(self, frame: bytes, head_size: int) -> None:
        """Add the next frame."""
        self.payloads_at.append(len(self.data) + head_size)
        self.data += frame
        self.ends.append(len(self.data))

    def frames_before(self, offset: int) -> int:
        """Return how many frames end at or before an offset."""
        return bisect_right(self.ends, offset)

    def payloads(self, count: int | None = None) -> list[bytes]:
        """Return the payloads of the first frames, by default of all."""
        places = zip(self.payloads_at[:count], self.ends[:count], strict=True)
        return [bytes(self.data[begin:end]) for begin, end in places]


class Follower:
    """One member: how much of the stream it has got, and what it got instead.

    Args:
        stream: Of its room.
        pong: Called with the payload of a ping, which it answers.
        reply: The payload of replies, which are the member's own and not of the room.

    Attributes:
        at: How many bytes of the stream it has got.
        own: Its payloads since it first differed from the stream, or None while it does not.
        own_from: How many frames it shared with the stream before.
        replies: How many replies it has got.
        closed: The code with which the server closed, if it did; 1005 when there was none.
    """

    __slots__ = ("_pong", "_reply", "_rest", "_stream", "at", "closed", "own", "own_from", "replies")

    def __init__(
        self, stream: Stream, *, pong: Callable[[bytes], None] | None = None, reply: bytes | None = None
    ) -> None:
        self._stream = stream
        self._pong = pong
        self._reply = reply
        self._rest = b""
        self.at = 0
        self.own: list[bytes] | None = None
        self.own_from = 0
        self.replies = 0
        self.closed: int | None = None

    def feed(self, data: bytes) -> None:
        """Take what was read."""
        at = self.at
        if not self._rest and self._stream.data.startswith(data, at):
            self.at = at + len(data)
        else:
            self._read(data)

    @property
    def frames(self) -> int:
        """How many whole frames of the room it has got."""
        if self.own is not None:
            return self.own_from + len(self.own)
        return self._stream.frames_before(self.at)

    @property
    def is_level(self) -> bool:
        """Whether it has got the whole stream, and nothing else."""
        return self.own is None and self.at == len(self._stream.data)

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
        if self._rest and self.own is None and stream.data.startswith(self._rest, self.at):
            self.at += len(self._rest)
            self._rest = b""

    def _take(self, frame: bytes, opcode: int, head_size: int) -> None:
        payload = frame[head_size:]
        if opcode == PING:
            if self._pong is not None:
                self._pong(payload)
        elif opcode == CLOSE:
            self.closed = int.from_bytes(payload[:2], "big") or 1005
        elif opcode > CLOSE:
            pass
        elif payload == self._reply:
            self.replies += 1
        elif self.own is not None:
            self.own.append(payload)
        elif self.at == len(self._stream.data):
            self._stream.append(frame, head_size)
            self.at += len(frame)
        elif self._stream.data.startswith(frame, self.at):
            self.at += len(frame)
        else:
            self.own_from = self._stream.frames_before(self.at)
            self.own = [payload]
