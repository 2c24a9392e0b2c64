"""A mailbox: what waits in one channel, and who takes it.

It never waits and knows no clock: whoever calls it says what time it is. It refuses what exceeds its capacity, in
messages and in bytes; a consumer that takes everything finds in their place how many were refused or have expired.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from .letter import Letter, Message

__all__ = ("Mailbox", "Missed", "Waiter")


@dataclass(frozen=True, slots=True)
class Waiter:
    """Whom to wake when something comes.

    Attributes:
        loop: Whose loop it waits on.
        thread: The thread of that loop.
        wake: Called in that thread; more often than needed does no harm.
    """

    loop: asyncio.AbstractEventLoop
    thread: int
    wake: Callable[[], None]


class Missed:
    """Stands in a mailbox where messages were refused or have expired.

    Attributes:
        count: How many, or None where nobody can know.
    """

    __slots__ = ("count",)

    def __init__(self, count: int | None) -> None:
        self.count: int | None = count

    def add(self, count: int | None) -> None:
        """Stand for more."""
        self.count = None if self.count is None or count is None else self.count + count


class Mailbox:
    """Messages in the order of their arrival.

    Args:
        name: The channel.
        capacity: How many messages may wait.
        max_bytes: How large they may be together; a single one may be larger.
        now: The time.

    Attributes:
        groups: The groups that the channel is in.
        listener: The consumer that takes everything, where one does.
        messages: What waits, and what stands for those that are gone. To look at; the methods change it.
        seen: When somebody last received or became a member.
        is_orphan: Whether the last holder of the channel's name in this process has let go of it.
        is_due: Whether it stands in the list of those that are looked after.
    """

    __slots__ = (
        "_bytes",
        "_count",
        "_max_bytes",
        "_waiters",
        "capacity",
        "groups",
        "is_due",
        "is_orphan",
        "listener",
        "messages",
        "name",
        "seen",
    )

    def __init__(self, name: str, capacity: int, max_bytes: int, now: float) -> None:
        self.name: str = name
        self.capacity: int = capacity
        self.groups: set[str] = set()
        self.listener: Waiter | None = None
        self.messages: deque[Letter | Missed] = deque()
        self.seen: float = now
        self.is_orphan: bool = False
        self.is_due: bool = False
        self._max_bytes = max_bytes
        self._count = 0
        self._bytes = 0
        self._waiters: deque[Waiter] = deque()

    def __len__(self) -> int:
        return self._count

    @property
    def is_active(self) -> bool:
        """Whether something waits in it, or somebody waits for something."""
        return bool(self.messages or self._waiters) or self.listener is not None

    @property
    def is_filling(self) -> bool:
        """Whether more than a quarter of what may wait does, so that whoever takes it must not wait."""
        return self._count > self.capacity // 4 or self._bytes > self._max_bytes // 4

    @property
    def is_heard(self) -> bool:
        """Whether somebody waits for something."""
        return bool(self._waiters) or self.listener is not None

    def put(self, letter: Letter) -> int:
        """Queue a message; return how many wait now, or 0 when there is no room for it."""
        count, size = self._count, self._bytes + letter.size
        if count >= self.capacity or (size > self._max_bytes and count):
            return 0
        self.messages.append(letter)
        self._count = count + 1
        self._bytes = size
        return count + 1

    def refuse(self) -> None:
        """Know that a message found no room; a listener is told."""
        if self.listener is not None:
            self.note_missed(1)

    def take(self, now: float) -> Message | None:
        """Remove and return the oldest message, unless it has expired."""
        while (taken := self.take_any(now)) is not None:
            if not isinstance(taken, Missed):
                return taken
        return None

    def take_any(self, now: float) -> Message | Missed | None:
        """Remove and return the oldest message, or what stands for those that are gone.

        What has expired stays, and None is returned: `drop_expired` counts and tells it.
        """
        messages = self.messages
        if not messages:
            return None
        first = messages[0]
        if isinstance(first, Missed):
            messages.popleft()
            return first
        if first.deadline <= now:
            return None
        messages.popleft()
        self._count -= 1
        self._bytes -= first.size
        return first.open()

    def drop_expired(self, now: float) -> int:
        """Remove what has expired, and tell a listener; return how many it were."""
        messages, before = self.messages, self._count
        gone = Missed(0)
        while messages:
            first = messages[0]
            if isinstance(first, Missed):
                gone.add(first.count)
            elif first.deadline > now:
                break
            else:
                gone.add(1)
                self._count -= 1
                self._bytes -= first.size
            messages.popleft()
        if gone.count != 0 and self.listener is not None:
            messages.appendleft(gone)
        return before - self._count

    def clear(self) -> None:
        """Remove everything that waits."""
        self.messages.clear()
        self._count = self._bytes = 0

    def note_missed(self, count: int | None) -> None:
        """Know that messages did not come, and stand for them at the end."""
        last = self.messages[-1] if self.messages else None
        if isinstance(last, Missed):
            last.add(count)
        else:
            self.messages.append(Missed(count))

    def to_wake(self) -> Waiter | None:
        """Return whom to wake for a message that has just come; one that waits for a single message is forgotten."""
        if self.listener is not None:
            # It takes all that is there before it sleeps, so only the first message needs to wake it, unless it has
            # not been woken yet, so that it may find more.
            return self.listener if len(self.messages) == 1 or self.is_filling else None
        return self._waiters.popleft() if self._waiters else None

    def wait(self, waiter: Waiter) -> None:
        """Stand in line for the next message."""
        self._waiters.append(waiter)

    def give_up(self, waiter: Waiter) -> bool:
        """Leave the line; return False when it had been called already."""
        try:
            self._waiters.remove(waiter)
        except ValueError:
            return False
        return True
