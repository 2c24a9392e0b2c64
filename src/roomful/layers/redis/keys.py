"""The names of keys and channels in the server.

All names of one room have one hash tag, so that they lie in one slot of a cluster; the tag is never empty, whatever the
room is called.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...core.names import RoomName

__all__ = ("Keys", "RoomKeys")


@dataclass(frozen=True, slots=True)
class RoomKeys:
    """The names of one room: its channel, its state and what is kept of it."""

    base: str

    @property
    def channel(self) -> str:
        """The channel of sharded pub/sub."""
        return self.base + "c"

    @property
    def meta(self) -> str:
        """The hash with epoch, top and lineage."""
        return self.base + "m"

    @property
    def stream(self) -> str:
        """The stream of the events that are kept."""
        return self.base + "s"

    @property
    def occupants(self) -> str:
        """The hash of who is present, of a presence topic."""
        return self.base + "o"

    def producer(self, producer: str) -> str:
        """Return where the last pushes of a producer are remembered."""
        return f"{self.base}p{producer}"

    def key(self, key: str) -> str:
        """Return where an idempotency key is remembered."""
        return f"{self.base}k{key}"


class Keys:
    """Makes the names under one prefix.

    Args:
        prefix: What all keys begin with; layers with the same one share their rooms.
    """

    def __init__(self, prefix: str) -> None:
        # The number is the form of the data; another form stands under another number.
        self._prefix = f"{prefix}:1:"

    def room(self, room: RoomName) -> RoomKeys:
        """Return the names of a room."""
        return RoomKeys(f"{self._prefix}{{={room}}}")

    def value(self, key: str) -> str:
        """Return where a value of the keyed state stands."""
        return f"{self._prefix}v{key}"

    @property
    def leases(self) -> str:
        """The sorted set of nodes and when their lease runs out."""
        return f"{self._prefix}leases"

    def rooms_of(self, node: str) -> str:
        """Return the set of the rooms in which a node has said that somebody is present."""
        return f"{self._prefix}rooms:{node}"
