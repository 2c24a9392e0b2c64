"""The sequencer: one order without holes, out of what a layer delivers, suspects and remembers.

Pure: it says what comes next, what has been missed for good, and when the layer's history has to be read; whoever owns
it reads the history and passes the events on.
"""

from __future__ import annotations

from collections import deque
from typing import TypeAlias

from ..core.ports import Page
from ..core.positions import Gap, Position

__all__ = ("Numbered", "Sequencer", "gap_between")

Numbered: TypeAlias = tuple[Position, bytes]
"""An event's position and payload."""

_MAX_HELD = 1024  # events that wait for the history; what exceeds it is read from there too
_MAX_HELD_BYTES = 4 * 1024 * 1024  # of these, but one always may


def gap_between(known: Position, start: Position) -> Gap | None:
    """Return what a member that knows `known` misses when it goes on after `start`, or None for nothing."""
    if known.epoch != start.epoch:
        return Gap("epoch", start.epoch)
    if known.offset > start.offset:
        return Gap("unknown", start.epoch)
    return None if known == start else Gap("evicted", start.epoch, ((known.offset + 1, start.offset),))


class Sequencer:
    """The order of one room.

    While `is_behind`, whoever owns it reads the layer's history after `top` and hands each page to `read`, until it is
    no longer so.

    Attributes:
        top: The position of the last event that was passed on, or of the last one that is known to be missed. Without
            an epoch, before the layer has said where the room stands, any event is the next.
    """

    __slots__ = ("_again", "_head", "_held", "_held_bytes", "_left", "top")

    def __init__(self) -> None:
        self.top: Position = Position("", 0)
        self._left: str | None = None
        self._held: deque[Numbered] | None = None
        self._held_bytes = 0
        self._again = False
        self._head: Position | None = None

    @property
    def is_behind(self) -> bool:
        """Whether the history has to be read."""
        return self._held is not None

    def deliver(self, at: Position, payload: bytes) -> bool:
        """Take what the layer delivers; return whether it is to be passed on now.

        What is known already is not. What comes too early waits for what it shows to be missing.
        """
        if self._held is None:
            if self._follows(at) or not self.top.epoch:
                self.top = at
                return True
            if self._is_known(at):
                return False
            self._held = deque()
        if not self._held:
            self._held_bytes = 0
        if not self._held or (
            len(self._held) < _MAX_HELD and self._held_bytes + len(payload) <= _MAX_HELD_BYTES
        ):
            self._held.append((at, payload))
            self._held_bytes += len(payload)
        else:
            self._again = True
        return False

    def suspect(self) -> None:
        """Know that events may have been missed: nothing is passed on before the history has been read."""
        if self._held is None:
            self._held = deque()
        else:
            self._again = True  # what is being read may have been read too early

    def read(self, page: Page) -> tuple[Gap | None, list[Numbered]]:
        """Take the page of history that follows `top`; return what was missed for good, and what to pass on then."""
        assert self._held is not None  # nobody reads it otherwise
        before = self.top
        gap: Gap | None = None
        passed: list[Numbered] = list(page.entries)
        if not page.complete:
            gap = self._go_on_after(self._start(page, self._held))
        if passed:
            self.top = passed[-1][0]
            if self.top.offset < page.top.offset:
                return gap, passed  # there is more to read
        elif page.complete:
            self.top = page.top
        if self.top.epoch != before.epoch:
            self._left = before.epoch
        self._release(self._held, passed)
        again, self._again = self._again, False
        head = self._held[0][0] if self._held else None
        if head is not None and head == self._head and self.top == before and not again:
            # It was held before the page was asked for, and the history does not lead to it: nobody can know more.
            gap = self._go_on_after(Position(head.epoch, head.offset - 1))
            self._release(self._held, passed)
        self._head = self._held[0][0] if self._held else None
        if not self._held and not again and self.top.offset >= page.top.offset:
            self._held = None
        return gap, passed

    def _start(self, page: Page, held: deque[Numbered]) -> Position:
        """Return the position just before the first event that is there."""
        for at, _ in (*page.entries, *held):
            if at.epoch == page.top.epoch and at.offset <= page.top.offset and not self._is_known(at):
                return Position(at.epoch, at.offset - 1)
        return page.top

    def _go_on_after(self, start: Position) -> Gap | None:
        gap = gap_between(self.top, start)
        self.top = start
        return gap

    def _release(self, held: deque[Numbered], passed: list[Numbered]) -> None:
        while held and (self._follows(held[0][0]) or self._is_known(held[0][0])):
            event = held.popleft()
            self._held_bytes -= len(event[1])
            if self._follows(event[0]):
                self.top = event[0]
                passed.append(event)

    def _follows(self, at: Position) -> bool:
        return at.offset == self.top.offset + 1 and at.epoch == self.top.epoch

    def _is_known(self, at: Position) -> bool:
        if at.epoch != self.top.epoch:
            return at.epoch == self._left  # what was held of an epoch that has led to this one
        return at.offset <= self.top.offset
