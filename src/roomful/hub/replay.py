"""Replays: a member that comes back gets what it missed, then goes on with everybody.

What it missed is read from the layer in pages. Members that ask for the same page share it, and the frames too; only a
few are served at a time, so that thousands that come back at once do not stall the rooms.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ..core.errors import ConnectionClosed
from ..core.positions import Gap, Position
from .delivery import read_envelope
from .outbox import Entry
from .sequencer import gap_between

if TYPE_CHECKING:
    from ..core.names import RoomName
    from ..core.ports import FrameKind, Layer, Page
    from .connection import Connection
    from .rooms import Room

__all__ = ("Replays",)

_PAGE = 64  # events that are read and written in one pass of the loop, for one member
_CHUNK_BYTES = 64 * 1024  # of their frames; asyncio's own high-water mark
_AT_ONCE = 4  # members that are served in one pass


class _Shared:
    """What the replays of one room share while any is under way."""

    __slots__ = ("entries", "pages", "users")

    def __init__(self) -> None:
        self.users = 0
        self.pages: dict[Position, asyncio.Task[Page]] = {}
        self.entries: dict[FrameKind, dict[Position, Entry | None]] = {}


class Replays:
    """The replays of one hub, on one event loop.

    Args:
        layer: Whose history is read.
    """

    __slots__ = ("_gate", "_layer", "_shared")

    def __init__(self, layer: Layer) -> None:
        self._layer = layer
        self._shared: dict[RoomName, _Shared] = {}
        self._gate = asyncio.Semaphore(_AT_ONCE)

    async def run(self, connection: Connection, room: Room[Connection], since: Position | None) -> bool:
        """Write what followed `since` up to the room's present top; return whether nothing was missing.

        Nothing is awaited between the last write and the return, so that whoever calls may add the member at once. What
        is missing is told first. None stands for a position that cannot be read.

        Raises:
            ConnectionClosed: The connection ended meanwhile.
            LayerError: The history cannot be read.
        """
        if since is None:
            self._tell(connection, room, Gap("unknown", room.top.epoch))
            return False
        if since == room.top:
            return True
        shared = self._shared.setdefault(room.name, _Shared())
        shared.users += 1
        try:
            return await self._replay(connection, room, since, shared)
        finally:
            shared.users -= 1
            if not shared.users:
                del self._shared[room.name]

    async def _replay(
        self, connection: Connection, room: Room[Connection], known: Position, shared: _Shared
    ) -> bool:
        whole = True
        while True:
            while (blocked := connection.flows()) is not None:
                await blocked
            async with self._gate:
                while connection.flows() is None:
                    page = await self._page(room, known, shared)
                    if not connection.is_open:
                        raise ConnectionClosed(connection.code)
                    top = room.top
                    events = [event for event in page.entries if event[0].offset <= top.offset]
                    if not page.complete:
                        whole = False
                        start = Position(events[0][0].epoch, events[0][0].offset - 1) if events else top
                        self._tell(connection, room, gap_between(known, start) or Gap("unknown", top.epoch))
                        known = start
                    if events:
                        known = self._write(connection, room, events, shared)
                    if not events or known.offset >= top.offset:
                        return whole
                    await asyncio.sleep(0)

    async def _page(self, room: Room[Connection], after: Position, shared: _Shared) -> Page:
        task = shared.pages.get(after)
        if task is not None and task.done() and not task.cancelled() and task.exception() is None:
            page = task.result()
            if page.entries or page.top.offset >= room.top.offset:
                return page
            task = None  # it was read when nothing followed yet
        if task is None or task.done():
            task = asyncio.Task(self._layer.history(room.name, after, _PAGE), loop=asyncio.get_running_loop())
            shared.pages[after] = task
        return await asyncio.shield(task)

    @staticmethod
    def _write(
        connection: Connection,
        room: Room[Connection],
        events: list[tuple[Position, bytes]],
        shared: _Shared,
    ) -> Position:
        """Write as much as goes at once, and at least one event; return the position of the last."""
        known = shared.entries.setdefault(connection.kind, {})
        entries: list[Entry] = []
        size, last = 0, events[0][0]
        for at, payload in events:
            if at not in known:
                known[at] = room.entry(connection.kind, at, read_envelope(room.name, at, payload))
            entry = known[at]
            if entry is not None:
                size += entry.frame.size
                if entries and size > _CHUNK_BYTES:
                    break
                entries.append(entry)
            last = at
        connection.send_entries(entries)
        return last

    @staticmethod
    def _tell(connection: Connection, room: Room[Connection], gap: Gap) -> None:
        if (frame := connection.kind.gap(room.name, gap)) is not None:
            connection.send_entries([Entry(frame, room.name)])
