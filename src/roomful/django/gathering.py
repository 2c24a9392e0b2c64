"""A gathering: consumers that are woken together, for messages to a group that follow each other closely.

A sender waits for each of its messages, over Redis until it has come back, so every member of a group would be woken,
and write to its socket, for each alone. While this process is sending to a group, what arrives for it, whoever sent it,
waits for what is under way, for some thousandths of a second at most; and so does what arrives meanwhile for one of
those that are held. What finds nobody here sending wakes at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from .mailbox import Waiter

__all__ = ("Gathering", "wake")

HOLD_S: Final = 0.002
"""How long a message may wait for others. A round trip to a Redis nearby takes a tenth of it."""
HOLD_MESSAGES: Final = 16
"""How many may wait so."""


class _Held:
    """What is under way to one group, and whom to wake for what has arrived."""

    __slots__ = ("batch", "messages", "sends", "waiters")

    def __init__(self) -> None:
        self.sends = 0
        self.messages = 0
        self.batch = 0
        self.waiters: list[Waiter] = []

    def take(self) -> list[Waiter]:
        waiters, self.waiters = self.waiters, []
        self.messages = 0
        self.batch += 1
        return waiters


class Gathering:
    """Whom to wake, by group. It may be used from any thread; messages are announced on a running loop."""

    def __init__(self) -> None:
        self._groups: dict[str, _Held] = {}
        # The collector may end a send that was thrown away, in a thread that holds the lock.
        self._lock = threading.RLock()

    def is_held(self, group: str) -> bool:
        """Whether a message to a group is under way, so that what arrives may wait."""
        return group in self._groups

    @contextmanager
    def sending(self, group: str) -> Iterator[None]:
        """Know that a message to a group is under way while the block runs."""
        with self._lock:
            held = self._groups.get(group)
            if held is None:
                held = self._groups[group] = _Held()
            held.sends += 1
        try:
            yield
        finally:
            with self._lock:
                held.sends -= 1
                is_last = held.sends == 0
            if is_last:
                # Later, since its sender may have the next message ready.
                _soon(self._look, group)

    def wake(self, group: str, waiters: Sequence[Waiter], *, at_once: bool) -> None:
        """Wake the members of a group for a message, now or together with what is under way.

        Args:
            group: The group.
            waiters: Whom.
            at_once: Whether it must not wait, because a member's mailbox is filling.
        """
        with self._lock:
            held = self._groups.get(group)
            if held is not None:
                held.waiters += waiters
                held.messages += 1
                if not at_once and held.messages < HOLD_MESSAGES:
                    if held.messages == 1:
                        asyncio.get_running_loop().call_later(HOLD_S, self._expire, held, held.batch)
                    return
                waiters = held.take()
        wake(waiters)

    def _look(self, group: str) -> None:
        with self._lock:
            held = self._groups.get(group)
            if held is None or held.sends:
                return
            del self._groups[group]
            waiters = held.take()
        wake(waiters)

    def _expire(self, held: _Held, batch: int) -> None:
        with self._lock:
            waiters = held.take() if held.batch == batch else []
        wake(waiters)


def wake(waiters: Iterable[Waiter]) -> None:
    """Wake each in its own thread."""
    here = threading.get_ident()
    elsewhere: dict[asyncio.AbstractEventLoop, list[Waiter]] = {}
    for waiter in waiters:
        if waiter.thread == here:
            waiter.wake()
        else:
            elsewhere.setdefault(waiter.loop, []).append(waiter)
    for loop, others in elsewhere.items():
        # A loop may have been closed: whoever waited there is gone.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_wake_all, others)


def _wake_all(waiters: Iterable[Waiter]) -> None:
    for waiter in waiters:
        waiter.wake()


def _soon(look: Callable[[str], None], group: str) -> None:
    try:
        asyncio.get_running_loop().call_soon(look, group)
    except RuntimeError:  # a send that was thrown away with its loop
        look(group)
