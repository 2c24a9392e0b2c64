"""Replays: a member that comes back gets what it missed, then goes on with everybody.

What it missed is read from the layer in pages. Members that ask for the same page share it, and the frames too; only a
few are served at a time, so that thousands that come back at once do not stall the rooms.
"""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from typing import TYPE_CHECKING, Final

from ..core.errors import ConnectionClosed
from ..core.positions import Gap, Position
from .delivery import read_envelope
from .outbox import Entry
from .sequencer import gap_between
from .tail import Tail

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from ..core.names import ConnectionId, RoomName
    from ..core.ports import FrameKind, Layer, Page
    from .member import Member
    from .rooms import Room
    from .sequencer import Numbered

__all__ = ("Replays",)

_PAGE: Final = 64  # events that are read and written in one pass of the loop, for one member
_CHUNK_BYTES: Final = 64 * 1024  # of their frames; asyncio's own high-water mark
_MAX_PAGES: Final = 64  # that are taken as one where less would never be enough
_AT_ONCE: Final = 4  # members that are served in one pass
_SHARED_BYTES: Final = (
    16 * 1024 * 1024
)  # of pages and frames that a hub keeps to share; beyond that it begins anew
_ENTRY_BYTES: Final = (
    256  # what one event takes beside its bytes: its position, its tuple, its place in a dict
)


class _Shared:
    """What the replays of one room share while any is under way.

    Attributes:
        users: The replays.
        pages: Pages of the history, by the position that they follow and by how much was asked for.
        entries: What members of a kind get for an event, and whom it excludes.
        size: Bytes of these.
    """

    __slots__ = ("entries", "pages", "size", "users")

    def __init__(self) -> None:
        self.users = 0
        self.pages: dict[tuple[Position, int], asyncio.Task[Page]] = {}
        self.entries: dict[FrameKind, dict[Position, tuple[Entry | None, ConnectionId | None]]] = {}
        self.size = 0

    def forget(self) -> None:
        """Begin anew; who reads a page waits for it all the same."""
        self.pages.clear()
        self.entries.clear()
        self.size = 0


class Replays:
    """The replays of one hub, on one event loop.

    Args:
        layer: Whose history is read.
        catch_up: Brings a room to where the layer stands.
    """

    __slots__ = ("_catch_up", "_gate", "_layer", "_shared", "_size")

    def __init__(self, layer: Layer, catch_up: Callable[[RoomName], Awaitable[None]]) -> None:
        self._layer = layer
        self._catch_up = catch_up
        self._shared: dict[RoomName, _Shared] = {}
        self._size = 0
        self._gate = asyncio.Semaphore(_AT_ONCE)

    async def run(self, connection: Member, room: Room[Member], since: Position | None) -> bool:
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
        if room.tail is None:
            room.tail = Tail()
        try:
            return await self._replay(connection, room, since, shared)
        finally:
            shared.users -= 1
            if not shared.users:
                room.tail = None
                del self._shared[room.name]
                self._size -= shared.size

    async def _replay(self, connection: Member, room: Room[Member], known: Position, shared: _Shared) -> bool:
        whole = True
        events: Sequence[Numbered] = ()  # read and not yet written
        while True:
            while (blocked := connection.flows()) is not None:
                await blocked
            pages, behind = 1, sys.maxsize
            async with self._gate:
                while connection.flows() is None:
                    start = known
                    if not events:
                        if room.top.offset - known.offset >= behind:
                            pages = min(pages * 2, _MAX_PAGES)  # more is pushed than is replayed
                        behind = room.top.offset - known.offset
                        start, events = await self._read(room, known, shared, pages * _PAGE)
                    if not connection.is_open:
                        raise ConnectionClosed(connection.code)
                    if (gap := gap_between(known, start)) is not None:
                        whole = False
                        self._tell(connection, room, gap)
                        known = start
                    if not events:
                        return whole
                    count, is_readable = self._write(connection, room, events, shared, pages * _CHUNK_BYTES)
                    whole = whole and is_readable
                    known = events[count - 1][0]
                    events = events[count:]
                    if known == room.top:
                        return whole
                    await asyncio.sleep(0)

    async def _read(
        self, room: Room[Member], known: Position, shared: _Shared, limit: int
    ) -> tuple[Position, Sequence[Numbered]]:
        """Return what follows `known` up to the room's top, and behind which position: another one if some is gone.

        Nothing is awaited after the top has been looked at.
        """
        tail = room.tail
        assert tail is not None  # as long as there are replays
        if live := tail.after(known):
            return known, live
        page = await self._page(room, known, shared, limit)
        if not tail.after(known) and _are_apart(known, page, room.top):
            # The client was served by a process that was ahead of this one, or the page is older than the room's top.
            await self._catch_up(room.name)
            page = await self._page(room, known, shared, limit)
        top = room.top
        events = [event for event in page.entries if event[0].offset <= top.offset]
        events += tail.after(events[-1][0] if events else known)
        if events:
            first = events[0][0]
            return known if page.complete else Position(first.epoch, first.offset - 1), events
        # At an earlier epoch's position that has led to this one nothing is missing.
        return known if page.complete and known.offset == top.offset else top, events

    async def _page(self, room: Room[Member], after: Position, shared: _Shared, limit: int) -> Page:
        task = shared.pages.get((after, limit))
        if task is not None and task.done():
            page = None if task.cancelled() or task.exception() is not None else task.result()
            if page is not None and (page.entries or page.top.offset >= room.top.offset):
                return page
            task = None  # it failed, or was read when nothing followed yet
        if task is None:
            task = asyncio.Task(self._layer.history(room.name, after, limit), loop=asyncio.get_running_loop())
            task.add_done_callback(partial(self._page_read, shared))
            shared.pages[after, limit] = task
        return await asyncio.shield(task)

    def _page_read(self, shared: _Shared, task: asyncio.Task[Page]) -> None:
        # Who has waited for it may be gone, so its error is looked at here in any case.
        if not task.cancelled() and task.exception() is None:
            self._grow(shared, sum(len(payload) + _ENTRY_BYTES for _, payload in task.result().entries))

    def _grow(self, shared: _Shared, size: int) -> None:
        """Count what is kept: a member that reads slowly keeps its room's pages and frames as long as it likes."""
        if not shared.users:
            return
        shared.size += size
        self._size += size
        if self._size > _SHARED_BYTES:
            self._size = 0
            for each in self._shared.values():
                each.forget()

    def _write(
        self,
        connection: Member,
        room: Room[Member],
        events: Sequence[Numbered],
        shared: _Shared,
        max_bytes: int,
    ) -> tuple[int, bool]:
        """Write as much as goes at once, and at least one event; return how many, and whether all could be read."""
        kind = connection.kind
        known = shared.entries.setdefault(kind, {})
        entries: list[Entry] = []
        size, is_readable = 0, True
        for count, (at, payload) in enumerate(events):
            if at not in known:
                envelope = read_envelope(room.name, at, payload)
                made = room.entry(kind, at, envelope)
                known[at] = made, None if envelope is None else envelope.exclude
                self._grow(shared, _ENTRY_BYTES + (0 if made is None else made.frame.size))
            entry, excluded = known[at]
            if excluded == connection.id:
                alone = kind.position(room.name, at)
                entry = None if alone is None else Entry(alone, room.name, at)
            elif entry is None or entry.at is None:
                is_readable = False  # it is a notice, or cannot even be told
            if entry is not None:
                size += entry.frame.size
                if entries and size > max_bytes:
                    connection.send_entries(entries)
                    return count, is_readable
                entries.append(entry)
        connection.send_entries(entries)
        return len(events), is_readable

    @staticmethod
    def _tell(connection: Member, room: Room[Member], gap: Gap) -> None:
        if (frame := connection.kind.gap(room.name, gap)) is not None:
            connection.send_entries([Entry(frame, room.name)])


def _are_apart(known: Position, page: Page, top: Position) -> bool:
    """Whether the layer knows the position of a client and the room does not lead there, or not from there."""
    if page.entries and page.entries[0][0].offset <= top.offset:
        return False
    if page.complete:
        return known.offset != top.offset
    return known.epoch == page.top.epoch and top.offset < known.offset <= page.top.offset
