"""An island: one node that carries its own pushes to its own members while the server is away.

Its events have an epoch of their own, so that members are told where it begins and where it ends; nothing of it enters
the shared history, and nothing is kept.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from ...core.names import RoomName
from ...core.ports import Deliver, Page, Receipt
from ...core.positions import Position

__all__ = ("Island",)

_MAX_KEYS: Final = 10_000


class Island:
    """The rooms of a node that is alone.

    Args:
        deliver: Takes the events of rooms that are attached.
        is_attached: Whether a room is.
    """

    def __init__(self, deliver: Deliver, is_attached: Callable[[RoomName], bool]) -> None:
        self._deliver = deliver
        self._is_attached = is_attached
        self._epoch = f"local-{secrets.token_urlsafe(9)}"
        self._offsets: dict[RoomName, int] = {}
        self._keys: OrderedDict[tuple[RoomName, str], Position] = OrderedDict()

    def top(self, room: RoomName) -> Position:
        """Return where a room stands here."""
        return Position(self._epoch, self._offsets.get(room, 0))

    def publish(self, room: RoomName, payload: bytes, key: str | None) -> Receipt:
        """Number an event and deliver it here."""
        if key is not None and (earlier := self._keys.get((room, key))) is not None:
            return Receipt(earlier, duplicate=True)
        offset = self._offsets[room] = self._offsets.get(room, 0) + 1
        at = Position(self._epoch, offset)
        if key is not None:
            self._keys[room, key] = at
            if len(self._keys) > _MAX_KEYS:
                self._keys.popitem(last=False)
        if self._is_attached(room):
            self._deliver(room, at, payload)
        return Receipt(at)

    def history(self, room: RoomName, after: Position) -> Page:
        """Return that nothing is kept."""
        top = self.top(room)
        return Page((), complete=after == top, top=top)
