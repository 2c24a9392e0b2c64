"""What a consumer gets of its groups: what was dispatched, and what it will not get.

A group is a set of consumers, a room one of connections; a name in one means nothing in the other.
"""

from __future__ import annotations

from dataclasses import dataclass

from .envelope import Envelope
from .names import RoomName
from .positions import Gap, Position

__all__ = ("Dispatched", "Missed")


@dataclass(frozen=True, slots=True)
class Dispatched:
    """One dispatch.

    Attributes:
        group: To which it was dispatched.
        at: Where it stands in the group's order.
        envelope: The encoded event.
    """

    group: RoomName
    at: Position
    envelope: Envelope


@dataclass(frozen=True, slots=True)
class Missed:
    """What a consumer will not get of a group."""

    group: RoomName
    gap: Gap
