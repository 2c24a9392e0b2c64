"""The flusher: decides when the pending frames of a branch are written, and what has to wait for that.

Frames of one pass of the loop are joined. While the last batch of a branch had several frames, its next one waits for
one poll more, because under load that joins what several clients sent; a lone push is written at the end of its pass.
A flush never nests: what arises in it is queued until it ends.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

from ..core.limits import Limits
from ..core.names import RoomName
from .rooms import Branch
from .statistics import Counters

__all__ = ("Flusher",)

M = TypeVar("M")

logger: logging.Logger = logging.getLogger("roomful.hub")


class Flusher(Generic[M]):
    """Schedules the flushes of one hub.

    Args:
        limits: When a batch is written at once.
        counters: Where flushes are counted.
        broken: Called after a flush for each member whose writer raised.

    Attributes:
        flushing: Whether a flush is under way.
        is_crowded: Whether a batch was full in this pass, so that whoever pushes should give the loop a turn.
    """

    __slots__ = (
        "_broken",
        "_counters",
        "_deferred",
        "_dirty",
        "_gathering",
        "_handle",
        "_limits",
        "flushing",
        "is_crowded",
    )

    def __init__(self, limits: Limits, counters: Counters, broken: Callable[[M, Exception], None]) -> None:
        self.flushing: bool = False
        self.is_crowded: bool = False
        self._limits = limits
        self._counters = counters
        self._broken = broken
        self._dirty: dict[Branch[M], None] = {}
        self._gathering: list[Callable[[], None]] = []
        self._handle: asyncio.Handle | None = None
        self._deferred: deque[Callable[[], None]] = deque()

    def appended(self, branches: Sequence[Branch[M]]) -> None:
        """Know that branches have a new entry: write the batches that are full, the others at the end of the pass."""
        for branch in branches:
            self._dirty[branch] = None
        for branch in branches:
            if (
                len(branch.pending) >= self._limits.max_batch_frames
                or branch.pending_bytes >= self._limits.max_batch_bytes
            ):
                self.is_crowded = True
                self._flush_dirty((branch,))
        if self._handle is None:
            self._handle = asyncio.get_running_loop().call_soon(self._pass)

    def pending_of(self, branches: Mapping[RoomName, Branch[M]], member: M) -> list[Branch[M]]:
        """Return those of a member's branches that have something pending, whichever way is shorter."""
        if len(branches) < len(self._dirty):
            return [branch for branch in branches.values() if branch.pending]
        return [branch for branch in self._dirty if member in branch.writers]

    def after_flush(self, call: Callable[[], None]) -> None:
        """Call now, or after the flush that is under way."""
        if self.flushing:
            self._deferred.append(call)
        else:
            call()

    def flush(self, branches: Sequence[Branch[M]]) -> None:
        """Write what is pending in these."""
        self._flush_dirty(branches)

    def gathers(self, write: Callable[[], None]) -> None:
        """Know of a member that gathers what is sent to it alone: `write` ends that before a flush or with the pass."""
        if not self._gathering:
            asyncio.get_running_loop().call_soon(self._write_gathered)
        self._gathering.append(write)

    def _write_gathered(self) -> None:
        gathering, self._gathering = self._gathering, []
        for write in gathering:
            write()

    def flush_all(self) -> None:
        """Write everything that is pending."""
        self._flush_dirty(list(self._dirty))

    def stop(self) -> None:
        """Forget what is scheduled."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _pass(self) -> None:
        self._handle = None
        self.is_crowded = False
        due: list[Branch[M]] = []
        for branch in self._dirty:
            if branch.last_batch > 1 and not branch.has_waited:
                branch.has_waited = True
            else:
                due.append(branch)
        self._flush_dirty(due)
        if self._dirty and self._handle is None:
            self._handle = asyncio.get_running_loop().call_soon(self._pass)

    def _flush_dirty(self, due: Sequence[Branch[M]]) -> None:
        # Each stays in `_dirty` until its own turn: what a flush entails may send to one of its members, who must
        # get what is pending before that.
        for branch in due:
            if branch in self._dirty:
                del self._dirty[branch]
                self._flush(branch)

    def _flush(self, branch: Branch[M]) -> None:
        if not branch.pending:
            return  # its last member has left
        if self._gathering:
            self._write_gathered()
        self._counters.flushes += 1
        self.flushing = True
        try:
            broken = branch.flush()
        finally:
            self.flushing = False
        for member, error in broken:
            self._broken(member, error)
        while self._deferred:
            call = self._deferred.popleft()
            try:
                call()
            except Exception:
                logger.exception("what had waited for a flush failed")
