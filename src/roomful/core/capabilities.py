"""Capabilities: what a layer may be able to do beside carrying events.

A layer has those whose methods it has; whoever needs one that is lacking says so at start. Groups, and messages to a
connection in another process, need none: they travel through `Layer.publish` under topics of their own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from .errors import LayerError
from .names import RoomName
from .positions import Position

__all__ = ("Change", "Health", "KeyedState", "Occupants", "Presence")


@runtime_checkable
class Health(Protocol):
    """Says whether it works; of layers that may be away."""

    def health(self) -> str:
        """Return what is wrong, as a sentence without names of users and passwords; empty when nothing is."""


@runtime_checkable
class KeyedState(Protocol):
    """Small values that expire: tickets, remembered ids, limits. Every process sees the same."""

    async def put_once(self, key: str, value: bytes, *, ttl_s: float) -> bool:
        """Store a value if the key has none; return whether it was stored."""

    async def put(self, key: str, value: bytes, *, ttl_s: float) -> None:
        """Store a value, whatever the key had."""

    async def get(self, key: str) -> bytes | None:
        """Return a value that has not expired."""

    async def take_once(self, key: str) -> bytes | None:
        """Remove and return a value; of all that ask, one gets it."""


@dataclass(frozen=True, slots=True)
class Occupants:
    """Who is present in a room.

    Attributes:
        at: The position of the last change that is counted in, in the sequence of the room's presence.
        who: What each says of itself, by its name.
    """

    at: Position
    who: dict[str, bytes] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Change:
    """Somebody has come or gone.

    Attributes:
        who: A name, printable and not empty.
        info: What it says of itself, or None when it has gone.
    """

    who: str
    info: bytes | None = field(repr=False)

    def pack(self) -> bytes:
        """Return the bytes that travel through a layer: `+`, name, line feed, info; or `-` and name."""
        return b"-" + self.who.encode() if self.info is None else b"+" + self.who.encode() + b"\n" + self.info

    @classmethod
    def unpack(cls, payload: bytes) -> Change:
        """Read what `pack` wrote.

        Raises:
            LayerError: It was not written by Roomful.
        """
        who, _, info = payload[1:].partition(b"\n")
        try:
            return cls(who.decode(), {b"+": info, b"-": None}[payload[:1]])
        except (KeyError, UnicodeDecodeError) as error:
            raise LayerError("presence change was not written by Roomful") from error


@runtime_checkable
class Presence(Protocol):
    """Knows who is present in a room, over all processes.

    Each change is published once under `presence_topic(room)`, whose sequence is its own: when the first process says
    that somebody is present, when a process replaces the info by another, and when the last that said so takes it back
    or has died. Its payload is a `Change`.

    The topic needs no history: a hub that suspects to have missed changes asks for the occupants.
    """

    async def appear(self, room: RoomName, who: str, info: bytes) -> None:
        """Say that somebody is present through this process; a second time replaces the info."""

    async def disappear(self, room: RoomName, who: str) -> None:
        """Say that somebody is no longer present through this process."""

    async def occupants(self, room: RoomName) -> Occupants:
        """Return who is present."""
