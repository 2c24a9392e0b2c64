"""The outlet: how one member is written to, directly while its transport has room, and through an outbox while not.

It decides nothing: whoever derives from it is told that the outbox overflowed, or that it is empty again.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from .outbox import Entry, Outbox

if TYPE_CHECKING:
    from ..core.ports import Frame, FrameKind, Wire
    from .rooms import Branch, Writer

__all__ = ("Outlet",)

M = TypeVar("M")

_GATHER_BYTES = 16 * 1024  # of answers that wait for the next one; from here on a system call weighs little
_DRAIN_BYTES = 64 * 1024  # joined at most when an outbox is written out; asyncio's own high-water mark


class Outlet:
    """The half of a connection that writes."""

    __slots__ = (
        "_flows",
        "_full",
        "_gathered",
        "_gathered_bytes",
        "_kind",
        "_outbox",
        "_room_to_write",
        "_wire",
    )

    _wire: Wire

    def __init__(self, kind: FrameKind) -> None:
        self._kind = kind
        self._outbox: Outbox | None = None
        self._full = False
        self._room_to_write: asyncio.Future[None] | None = None
        self._flows: asyncio.Future[None] | None = None
        self._gathered: list[object] | None = None
        self._gathered_bytes = 0

    @abstractmethod
    def _new_outbox(self) -> Outbox | None:
        """Return what waits in front of a full transport, or None when nothing more is to be written."""

    @abstractmethod
    def _owed(self) -> list[Entry]:
        """Return what the member is owed of its rooms; it is written now."""

    @abstractmethod
    def _redirected(self) -> None:
        """Know that the rooms must call another writer: an outbox has come or gone."""

    @abstractmethod
    def _overflowed(self, entry: Entry) -> None:
        """Know that the outbox could not take an entry."""

    @abstractmethod
    def _broke(self, error: Exception) -> None:
        """Know that the wire raised in `write`."""

    def room_to_write(self) -> asyncio.Future[None] | None:
        """Return what is done once at most half of the outbox is taken, or None when it is so now."""
        if self._outbox is None or self._outbox.has_room:
            return None
        if self._room_to_write is None:
            self._room_to_write = asyncio.get_running_loop().create_future()
        # Shielded, because several may wait, and one that is cancelled must not cancel it for the others.
        return asyncio.shield(self._room_to_write)

    def flows(self) -> asyncio.Future[None] | None:
        """Return what is done once nothing waits for the transport any more, or None when nothing does now."""
        if self._outbox is None:
            return None
        if self._flows is None:
            self._flows = asyncio.get_running_loop().create_future()
        return asyncio.shield(self._flows)

    @property
    def unsent(self) -> int:
        """Bytes that wait between the wire's `write` and the kernel."""
        return self._wire.unsent()

    @property
    def outbox_size(self) -> int:
        """Bytes that wait in the outbox."""
        return 0 if self._outbox is None else self._outbox.size

    def writer_for(self, branch: Branch[M]) -> Writer:
        """Return what a branch calls to write to this member: the wire itself while it has room."""
        return self._wire.write if self._outbox is None else partial(self._enqueue_batch, branch)

    def send_frame(self, frame: Frame) -> None:
        """Write a frame to this connection alone, behind what it is owed of its rooms."""
        owed = self._owed()
        owed.append(Entry(frame))
        self._write(owed)

    def send_entries(self, entries: Sequence[Entry]) -> None:
        """Write entries of one room that the member is owed ahead of the room's flush."""
        if entries:
            self._write(entries)

    def _gather(self, data: object) -> bool:
        """Keep what is to be written, so that one write serves several answers; return whether it is the first.

        Whoever gathers calls `write_gathered` before the pass of the loop ends and before rooms are written to.
        """
        gathered = self._gathered
        if gathered is None:
            self._gathered, self._gathered_bytes = [data], 0
        else:
            gathered.append(data)
        self._gathered_bytes += self._kind.size(data)
        if self._gathered_bytes >= _GATHER_BYTES:
            self.write_gathered()
        return gathered is None

    def write_gathered(self) -> None:
        """Write what was gathered."""
        if (gathered := self._gathered) is not None:
            self._gathered = None
            self._write_data(self._kind.concat(gathered))

    def _write_data(self, data: object) -> None:
        try:
            self._wire.write(data)
        except Exception as error:  # noqa: BLE001 -- a broken wire ends its own connection; a flush does the same
            self._broke(error)

    def _write(self, entries: Sequence[Entry]) -> None:
        self.write_gathered()
        if self._outbox is None:
            self._write_through(entries)
        else:
            self._enqueue(entries)

    def _write_through(self, entries: Sequence[Entry]) -> None:
        self._write_data(self._kind.join([entry.frame for entry in entries]))

    def _enqueue_batch(self, branch: Branch[M], _joined: object) -> None:
        self._enqueue(branch.writing)

    def _enqueue(self, entries: Sequence[Entry]) -> None:
        outbox = self._outbox
        assert outbox is not None  # without one the wire itself is written to
        for entry in entries:
            if not outbox.offer(entry):
                self._overflowed(entry)
                return

    def paused(self) -> None:
        """Put an outbox in front of a transport that is full."""
        self._full = True
        if self._outbox is None and (outbox := self._new_outbox()) is not None:
            self._outbox = outbox
            self._redirected()

    def resumed(self) -> None:
        """Write the outbox out; once it is empty the wire is written to again."""
        self._full = False
        while (outbox := self._outbox) is not None:
            entries = outbox.take(_DRAIN_BYTES)
            if entries:
                self._write_through(entries)
            if outbox.has_room:
                self._let_write()
            if self._full:
                return
            if not entries:
                self._outbox = None
                self._let_write()
                self._redirected()

    def _let_write(self) -> None:
        if self._room_to_write is not None:
            self._room_to_write.set_result(None)
            self._room_to_write = None
        if self._flows is not None and self._outbox is None:
            self._flows.set_result(None)
            self._flows = None
