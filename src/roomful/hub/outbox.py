"""The outbox: the bounded queue of what one connection still has to be written.

It exists only while the transport is full. What a room's policy lets it skip it skips, counts, and tells in one notice
before that room's next event; of anything else it says that it does not fit.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from ..core.names import RoomName
from ..core.ports import Frame
from ..core.positions import Gap, Position

__all__ = ("Entry", "Outbox", "Ranges")


@dataclass(frozen=True, slots=True)
class Entry:
    """A frame with what a slow-consumer policy must know of it.

    Attributes:
        frame: What is written; shared between members.
        room: The room that it was pushed to, or None for a direct send.
        at: Its position in that room, or None where it has none.
        key: Its conflation key where the room's policy conflates, else empty.
        skips: Whether the room's policy lets a slow member miss it.
    """

    frame: Frame
    room: RoomName | None = None
    at: Position | None = None
    key: str = ""
    skips: bool = False


class Ranges:
    """A set of offsets, kept as ranges."""

    __slots__ = ("_ranges",)

    def __init__(self) -> None:
        self._ranges: list[tuple[int, int]] = []

    def add(self, offset: int) -> None:
        """Add an offset."""
        ranges = self._ranges
        i = bisect_left(ranges, (offset,))
        if i < len(ranges) and ranges[i][0] == offset:
            return
        first = last = offset
        if i > 0 and ranges[i - 1][1] >= offset - 1:
            i -= 1
            first, last = ranges[i][0], max(ranges[i][1], offset)
            del ranges[i]
        if i < len(ranges) and ranges[i][0] == offset + 1:
            last = ranges.pop(i)[1]
        ranges.insert(i, (first, last))

    def all(self) -> tuple[tuple[int, int], ...]:
        """Return first and last offset of each range, in order."""
        return tuple(self._ranges)


Notice: TypeAlias = Callable[[RoomName, Gap], Frame | None]
"""Makes the frame of a gap notice."""


class Outbox:
    """Entries in the order in which they were offered, bounded in messages and in bytes.

    Args:
        max_messages: Entries that wait at most.
        max_bytes: Bytes of their frames.
        notice: Makes the frames that tell what was skipped.
        on_skip: Called for each entry that is skipped.
    """

    __slots__ = (
        "_entries",
        "_keyed",
        "_max_bytes",
        "_max_messages",
        "_next",
        "_notice",
        "_on_skip",
        "_size",
        "_skippable",
        "_skipped",
    )

    def __init__(
        self, *, max_messages: int, max_bytes: int, notice: Notice, on_skip: Callable[[Entry], None]
    ) -> None:
        self._entries: OrderedDict[int, Entry] = OrderedDict()
        self._skippable: OrderedDict[int, None] = OrderedDict()
        self._keyed: dict[tuple[RoomName | None, str], int] = {}
        self._skipped: dict[RoomName, dict[str, Ranges]] = {}
        self._next = 0
        self._size = 0
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._notice = notice
        self._on_skip = on_skip

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def size(self) -> int:
        """Bytes that wait."""
        return self._size

    @property
    def has_room(self) -> bool:
        """Whether at most half of each bound is taken."""
        return len(self._entries) * 2 <= self._max_messages and self._size * 2 <= self._max_bytes

    def offer(self, entry: Entry) -> bool:
        """Queue an entry, or skip it where its room lets it; return False when it must not be skipped and does not fit.

        An entry replaces an older one with its key. Entries that may be skipped make room for those that come, the
        oldest first. An empty outbox takes any entry, so that a frame above `max_bytes` can reach a member at all.
        """
        if entry.key and (older := self._keyed.get((entry.room, entry.key))) is not None:
            self._skip(older)
        while self._skippable and not self._fits(entry):
            self._skip(next(iter(self._skippable)))
        if not self._fits(entry):
            if entry.skips:
                self._note(entry)
            return entry.skips
        number = self._next
        self._next += 1
        self._entries[number] = entry
        self._size += entry.frame.size
        if entry.skips:
            self._skippable[number] = None
            if entry.key:
                self._keyed[entry.room, entry.key] = number
        return True

    def take(self, max_bytes: int) -> list[Entry]:
        """Remove and return the oldest entries: at least one if there is any, and no more than `max_bytes` else.

        Before the first entry of a room stands the notice of what was skipped there; notices of rooms without a further
        entry stand behind the last.
        """
        taken: list[Entry] = []
        total = 0
        while self._entries:
            number, entry = next(iter(self._entries.items()))
            total += entry.frame.size
            if taken and total > max_bytes:
                return taken
            self._remove(number, entry)
            if entry.room in self._skipped:
                taken += self._notices(entry.room)
            taken.append(entry)
        for room in list(self._skipped):
            taken += self._notices(room)
        return taken

    def _fits(self, entry: Entry) -> bool:
        return not self._entries or (
            len(self._entries) < self._max_messages and self._size + entry.frame.size <= self._max_bytes
        )

    def _remove(self, number: int, entry: Entry) -> None:
        del self._entries[number]
        self._size -= entry.frame.size
        if entry.skips:
            del self._skippable[number]
            if entry.key and self._keyed.get((entry.room, entry.key)) == number:
                del self._keyed[entry.room, entry.key]

    def _skip(self, number: int) -> None:
        entry = self._entries[number]
        self._remove(number, entry)
        self._note(entry)

    def _note(self, entry: Entry) -> None:
        assert entry.room is not None  # only what was pushed to a room may be skipped
        assert entry.at is not None
        epochs = self._skipped.setdefault(entry.room, {})
        epochs.setdefault(entry.at.epoch, Ranges()).add(entry.at.offset)
        self._on_skip(entry)

    def _notices(self, room: RoomName) -> list[Entry]:
        entries: list[Entry] = []
        for epoch, ranges in self._skipped.pop(room).items():
            frame = self._notice(room, Gap("slow", epoch, ranges.all()))
            if frame is not None:
                entries.append(Entry(frame, room))
        return entries
