"""The outbox: the bounded queue of what one connection still has to be written.

It exists only while the transport is full. It never drops an entry by itself: it says that one does not fit.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from ..core.names import RoomName
from ..core.ports import Frame

__all__ = ("Entry", "Outbox")


@dataclass(frozen=True, slots=True)
class Entry:
    """A frame with what a slow-consumer policy must know of it.

    Attributes:
        frame: What is written; shared between members.
        room: The room that it was pushed to, or None for a direct send.
        offset: Its offset in that room.
        key: Its conflation key, or empty.
    """

    frame: Frame
    room: RoomName | None = None
    offset: int = 0
    key: str = ""


class Outbox:
    """Entries in the order in which they were offered, bounded in messages and in bytes."""

    __slots__ = ("_entries", "_max_bytes", "_max_messages", "_size")

    def __init__(self, *, max_messages: int, max_bytes: int) -> None:
        self._entries: deque[Entry] = deque()
        self._size = 0
        self._max_messages = max_messages
        self._max_bytes = max_bytes

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
        """Queue an entry if it fits, and return whether it did.

        An empty outbox takes any entry, so that a frame above `max_bytes` can reach a member at all.
        """
        size = self._size + entry.frame.size
        if self._entries and (len(self._entries) >= self._max_messages or size > self._max_bytes):
            return False
        self._entries.append(entry)
        self._size = size
        return True

    def take(self, max_bytes: int) -> list[Entry]:
        """Remove and return the oldest entries: at least one if there is any, and no more than `max_bytes` else."""
        taken: list[Entry] = []
        total = 0
        while self._entries:
            total += self._entries[0].frame.size
            if taken and total > max_bytes:
                break
            entry = self._entries.popleft()
            self._size -= entry.frame.size
            taken.append(entry)
        return taken
