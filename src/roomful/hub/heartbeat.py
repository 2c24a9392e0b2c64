"""The heartbeat: one wheel that asks each silent connection for a sign of life.

Pure: it is told when a tick has passed and answers whose turn it is. One timer turns it, whatever the number of
connections; a connection costs one entry.
"""

from __future__ import annotations

from enum import Enum
from typing import Generic, TypeVar

__all__ = ("Beat", "Pulse", "Wheel")

M = TypeVar("M")


class Beat(Enum):
    """What a connection needs when its turn comes."""

    REST = "rest"
    PING = "ping"
    LET_GO = "let go"


class Pulse:
    """What one connection has shown of itself.

    Bytes of any kind are a sign of life (a pong may stand behind a large message). While this side does not read, a
    pong cannot be seen, so the clock stands still.
    """

    __slots__ = ("_awaits_pong", "_unsent", "_waited_s", "heard")

    def __init__(self) -> None:
        self.heard: bool = False
        self._awaits_pong = False
        self._unsent = -1
        self._waited_s = 0.0

    def beat(self, *, reads: bool, flows: bool) -> Beat:
        """Decide at the connection's turn: after an interval, or after the time-out if it was pinged.

        Args:
            reads: Whether this side reads. While it does not, a ping still finds out a socket that is gone.
            flows: Whether the transport has room. While it has none, a ping would stand behind what is unsent, and the
                write deadline judges.
        """
        if self.heard or not reads or not flows:
            rests = self.heard or not flows
            self.heard = False
            self._awaits_pong = False
            return Beat.REST if rests else Beat.PING
        if self._awaits_pong:
            return Beat.LET_GO
        self._awaits_pong = True
        return Beat.PING

    def progressed(self, unsent: int, passed_s: float, deadline_s: float) -> bool:
        """Note how much a full transport still holds; return False once it has not shrunk for `deadline_s`."""
        if self._unsent < 0 or unsent < self._unsent:
            self._unsent = unsent
            self._waited_s = 0.0
            return True
        self._waited_s += passed_s
        return self._waited_s < deadline_s

    def flowing(self) -> None:
        """Note that the transport has room again."""
        self._unsent = -1


class Wheel(Generic[M]):
    """Members, each in the slot of its next turn. Adding, moving and removing are O(1)."""

    __slots__ = ("_at", "_slots", "_where")

    def __init__(self, slots: int) -> None:
        self._slots: list[dict[M, None]] = [{} for _ in range(slots + 1)]
        self._where: dict[M, int] = {}
        self._at = 0

    def __len__(self) -> int:
        return len(self._where)

    def put(self, member: M, *, ticks: int) -> None:
        """Give a member its next turn after `ticks` ticks, from 1 to the number of slots; an older turn is void."""
        self.discard(member)
        slot = (self._at + ticks) % len(self._slots)
        self._slots[slot][member] = None
        self._where[member] = slot

    def discard(self, member: M) -> None:
        """Forget a member."""
        slot = self._where.pop(member, None)
        if slot is not None:
            del self._slots[slot][member]

    def tick(self) -> list[M]:
        """Turn by one slot; return whose turn it is. They have no next turn until they are put again."""
        self._at = (self._at + 1) % len(self._slots)
        due = list(self._slots[self._at])
        self._slots[self._at].clear()
        for member in due:
            del self._where[member]
        return due
