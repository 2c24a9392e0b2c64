"""The dispatch inbox: what was dispatched to one consumer and its handlers have not yet seen.

Bounded in number and bytes. What finds it full is not taken, and stands in one notice with exact ranges before what is
taken next of its group.
"""

from __future__ import annotations

from collections import deque
from typing import TypeAlias

from ..core.dispatched import Dispatched, Missed
from ..core.names import RoomName
from ..core.positions import Gap
from .outbox import Ranges

__all__ = ("DispatchInbox", "Item")

Item: TypeAlias = Dispatched | Missed
"""What a consumer is called with."""


class DispatchInbox:
    """Dispatches in the order in which they were offered, and notices of those that were not taken.

    Args:
        max_messages: Dispatches that wait at most.
        max_bytes: Bytes that wait likewise. One dispatch always may, however large it is.
    """

    __slots__ = ("_count", "_items", "_max_bytes", "_max_messages", "_missed", "_size")

    def __init__(self, *, max_messages: int, max_bytes: int) -> None:
        self._items: deque[Item] = deque()
        self._missed: dict[RoomName, dict[str, Ranges]] = {}
        self._count = 0
        self._size = 0
        self._max_messages = max_messages
        self._max_bytes = max_bytes

    def __len__(self) -> int:
        """How often `take` returns something before it is empty."""
        return len(self._items) + sum(map(len, self._missed.values()))

    @property
    def dispatches(self) -> int:
        """How many dispatches wait."""
        return self._count

    def offer(self, item: Dispatched) -> bool:
        """Queue a dispatch; return False when it does not fit."""
        size = len(item.envelope.body)
        if self._count and (self._count >= self._max_messages or self._size + size > self._max_bytes):
            return False
        self._close(item.group)
        self._items.append(item)
        self._count += 1
        self._size += size
        return True

    def note(self, item: Dispatched) -> None:
        """Note that a dispatch was not taken; its consumer is told."""
        self._missed.setdefault(item.group, {}).setdefault(item.at.epoch, Ranges()).add(item.at.offset)

    def miss(self, missed: Missed) -> None:
        """Queue a notice of what the layer has lost."""
        self._close(missed.group)
        self._items.append(missed)

    def take(self) -> Item | None:
        """Remove and return the oldest, or None when there is none."""
        if not self._items and self._missed:
            self._close(next(iter(self._missed)))
        if not self._items:
            return None
        item = self._items.popleft()
        if isinstance(item, Dispatched):
            self._count -= 1
            self._size -= len(item.envelope.body)
        return item

    def _close(self, group: RoomName) -> None:
        for epoch, ranges in self._missed.pop(group, {}).items():
            self._items.append(Missed(group, Gap("full", epoch, ranges.all())))
