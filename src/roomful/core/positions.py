"""Positions: where an event stands in its room's order; and gaps: what a member will not get.

A position says nothing about time, and two positions of different epochs have no order.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from .errors import PositionError

__all__ = ("Gap", "Position")

# The epoch comes from a layer and travels through URLs and JSON, so it is kept to token characters.
_FORM: Final = re.compile(r"([A-Za-z0-9_-]{1,32}):(0|[1-9][0-9]{0,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Position:
    """`epoch` and `offset`: the room's `offset`-th event since `epoch` began.

    `offset` 0 stands before the first event. On the wire a position is the opaque text `str(position)`.
    """

    epoch: str
    offset: int

    def __str__(self) -> str:
        return f"{self.epoch}:{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Position:
        """Read what `str(position)` wrote.

        Raises:
            PositionError: `text` is not a position.
        """
        match = _FORM.fullmatch(text)
        if match is None:
            raise PositionError("position is malformed; expected the text of a `pos` that the server sent")
        return cls(match[1], int(match[2]))


@dataclass(frozen=True, slots=True)
class Gap:
    """Events of a room that a member will not get.

    Attributes:
        reason: A stable word for programs: `slow` (dropped because the member read too slowly), `evicted` (no longer
            in the history), `epoch` (the room's numbering began anew), `unknown` (the position was never reached or
            cannot be read).
        epoch: The epoch of the ranges, or of what follows where nobody can know the ranges.
        ranges: First and last offset of each range, in order; None where nobody can know them.
    """

    reason: str
    epoch: str
    ranges: tuple[tuple[int, int], ...] | None = None
