"""The roster: who is present in one room, as this process knows it.

Pure: it takes the layer's changes in their order. A hole is not read from a history: presence is a state, so whoever
owns the roster asks for all that are present, and tells the members the same.
"""

from __future__ import annotations

from collections import deque
from typing import TypeAlias

from ..core.capabilities import Change, Occupants
from ..core.positions import Position

__all__ = ("Numbered", "Roster")

Numbered: TypeAlias = tuple[Position, Change]

_MAX_HELD = 1024  # changes that wait for an answer; what exceeds them is in a later one


class Roster:
    """Names and what they say of themselves, at one position of the presence's own sequence.

    While `is_behind`, whoever owns it asks for the occupants and hands the answer to `heal`, until it is no longer so.
    """

    __slots__ = ("_again", "_at", "_held", "_who")

    def __init__(self) -> None:
        self._at = Position("", 0)
        self._who: dict[str, bytes] = {}
        self._held: deque[Numbered] | None = deque()
        self._again = False

    @property
    def is_behind(self) -> bool:
        """Whether the occupants have to be asked for."""
        return self._held is not None

    @property
    def occupants(self) -> Occupants:
        """Who is present, as far as is known."""
        return Occupants(self._at, dict(self._who))

    def take(self, at: Position, change: Change) -> bool:
        """Take a change; return whether it is to be passed on now."""
        if self._held is None:
            if self._follows(at):
                self._apply(at, change)
                return True
            if self._is_known(at):
                return False
            self._held = deque()
        if len(self._held) < _MAX_HELD:
            self._held.append((at, change))
        else:
            self._again = True
        return False

    def suspect(self) -> None:
        """Know that changes may have been missed."""
        if self._held is None:
            self._held = deque()
        else:
            self._again = True  # what was asked for may have been answered too early

    def heal(self, occupants: Occupants) -> list[Numbered]:
        """Take the answer, which replaces all that was known; return the changes that came behind it."""
        assert self._held is not None  # nobody asks otherwise
        self._at, self._who = occupants.at, dict(occupants.who)
        passed: list[Numbered] = []
        while self._held and (self._follows(self._held[0][0]) or self._is_known(self._held[0][0])):
            at, change = self._held.popleft()
            if self._follows(at):
                self._apply(at, change)
                passed.append((at, change))
        again, self._again = self._again, False
        if not again:
            # What does not follow is of another epoch, or stands behind a hole: a further answer has it.
            self._held = deque() if self._held else None
        return passed

    def _apply(self, at: Position, change: Change) -> None:
        self._at = at
        if change.info is None:
            self._who.pop(change.who, None)
        else:
            self._who[change.who] = change.info

    def _follows(self, at: Position) -> bool:
        return at.offset == self._at.offset + 1 and at.epoch == self._at.epoch

    def _is_known(self, at: Position) -> bool:
        return at.offset <= self._at.offset and at.epoch == self._at.epoch
