"""Where a socket stands, and the peer of one that has none.

There is no behaviour here; `wire` moves from state to state.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

__all__ = ("NOBODY", "Nobody", "State")


class State(IntEnum):
    """Where a socket stands. It only ever moves forward."""

    HANDSHAKE = 0
    """Neither accepted nor refused; what the client sends meanwhile is held, unread."""
    OPEN = 1
    CLOSING = 2
    """Our close frame is written and the client's is awaited; its messages are dropped."""
    ENDED = 3
    """Nothing more is read. What was written goes out, until the timer ends it."""
    LOST = 4


class Nobody:
    """The peer of a socket that has none: before its ASGI call begins, and after `lost`."""

    __slots__ = ()

    def received(self, message: str | bytes) -> None:
        """Drop it."""

    def paused(self) -> None:
        """Do nothing."""

    def resumed(self) -> None:
        """Do nothing."""

    def heard(self) -> None:
        """Do nothing."""

    def going_away(self) -> None:
        """Do nothing."""

    def lost(self, code: int, reason: str) -> None:
        """Do nothing."""


NOBODY: Final = Nobody()
