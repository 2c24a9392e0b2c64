"""Room policies: what a room keeps and what happens to a member that reads too slowly, by patterns of names.

A policy says nothing about who may enter; that is a permission.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from .errors import PolicyError

__all__ = ("OnSlow", "Policies", "Retention", "RoomPolicy")

OnSlow: TypeAlias = Literal["disconnect", "drop_oldest", "conflate"]
"""What happens to a member whose outbox is full; see `RoomPolicy`."""

_SKIPPING: Final = ("drop_oldest", "conflate")

_MAX_CACHED: Final = 10_000
"""Names whose policy is remembered; clients choose names, so the memory is bounded and then begun anew."""


@dataclass(frozen=True, slots=True)
class Retention:
    """How much of a room's past a layer keeps; what exceeds any of the three goes, the oldest first.

    Attributes:
        events: Number of events.
        max_bytes: Bytes of their payloads.
        ttl_s: Age in seconds.
    """

    events: int
    max_bytes: int
    ttl_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomPolicy:
    """How the rooms of a pattern behave.

    Args:
        history: Events that are kept for members that come back; 0 keeps none.
        history_bytes: Bytes of these events at most.
        ttl_s: Seconds for which an event is kept at most.
        on_slow: What happens to a member whose outbox is full. `disconnect`: it is let go with *come back*.
            `drop_oldest`: the oldest events of this room in its outbox are dropped. `conflate`: an event replaces the
            older one with the same key in the outbox, and else the oldest are dropped. What is dropped is told in one
            notice before the room's next event.
        max_members: Members that the room has in one process at most; None for no bound.
        presence: Whether it is known who is present, and members are told who comes and who goes. The layer has to
            know it too.
        presence_grace_s: Seconds for which somebody who has gone is still counted as present, so that a connection
            that is lost and resumed shows nothing.

    Raises:
        PolicyError: A value cannot work.
    """

    history: int = 0
    history_bytes: int = 1024 * 1024
    ttl_s: float = 3600.0
    on_slow: OnSlow = "disconnect"
    max_members: int | None = None
    presence: bool = False
    presence_grace_s: float = 5.0

    def __post_init__(self) -> None:
        if self.history < 0:
            raise PolicyError(f"history is {self.history}; expected 0 or more events")
        if not 0 <= self.presence_grace_s < math.inf:
            raise PolicyError(f"presence_grace_s is {self.presence_grace_s}; expected 0 or more seconds")
        for name in ("history_bytes", "ttl_s", "max_members"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise PolicyError(f"{name} is {value}; expected more than 0")
        if self.on_slow not in ("disconnect", *_SKIPPING):
            raise PolicyError(
                f"on_slow is {self.on_slow!r}; expected 'disconnect', 'drop_oldest' or 'conflate'"
            )

    @property
    def skips(self) -> bool:
        """Whether members may miss events, of which they are told; connections that own their wire cannot be told."""
        return self.on_slow in _SKIPPING

    @property
    def retention(self) -> Retention | None:
        """What a layer keeps, or None for nothing."""
        return Retention(self.history, self.history_bytes, self.ttl_s) if self.history else None


_DEFAULT: Final = RoomPolicy()


class Policies:
    """Finds the policy of a room: that of the first pattern that matches its name.

    Args:
        rooms: Policies by pattern; in a pattern `*` stands for any characters, also none.

    Raises:
        PolicyError: A pattern is empty or not printable, or can never be the first that matches.
    """

    __slots__ = ("_cache", "_patterns")

    def __init__(self, rooms: Mapping[str, RoomPolicy]) -> None:
        self._patterns: list[tuple[re.Pattern[str], RoomPolicy]] = []
        self._cache: dict[str, RoomPolicy] = {}
        for pattern, policy in rooms.items():
            if not pattern or not pattern.isprintable():
                raise PolicyError(
                    f"room pattern {pattern!a} matches no room; expected printable text and '*'"
                )
            if not isinstance(policy, RoomPolicy):
                raise PolicyError(f"policy of {pattern!r} is a {type(policy).__name__}; expected RoomPolicy")
            # A star matches a star, so an earlier pattern that matches this one as a text matches all that it matches.
            if self._find(pattern) is not None:
                raise PolicyError(
                    f"room pattern {pattern!r} is never reached; an earlier one matches all its rooms"
                )
            self._patterns.append((_compiled(pattern), policy))

    @property
    def have_presence(self) -> bool:
        """Whether any room has presence."""
        return any(policy.presence for _, policy in self._patterns)

    def of(self, room: str) -> RoomPolicy:
        """Return the policy of a room."""
        policy = self._cache.get(room)
        if policy is None:
            policy = self._find(room) or _DEFAULT
            if len(self._cache) >= _MAX_CACHED:
                self._cache.clear()
            self._cache[room] = policy
        return policy

    def _find(self, room: str) -> RoomPolicy | None:
        return next((policy for pattern, policy in self._patterns if pattern.fullmatch(room)), None)


def _compiled(pattern: str) -> re.Pattern[str]:
    first, *others = map(re.escape, pattern.split("*"))
    if not others:
        return re.compile(first)
    # The first place where a part fits is as good as any, so each is settled for good once it is found: clients choose
    # names, and trying every place for every star would take seconds for some.
    *middle, last = others
    return re.compile(first + "".join(f"(?>.*?{part})" for part in middle) + ".*" + last, re.DOTALL)
