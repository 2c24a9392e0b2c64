"""The switchboard: the channels and groups of one process.

A group message goes straight into the mailbox of each member, without a task or a second queue. It may be used from any
thread. Nothing here encodes, and no other process is known.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from .gathering import Gathering, wake
from .letter import Letter, Message
from .mailbox import Mailbox, Missed, Waiter

__all__ = ("Sent", "Switchboard")


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of a message to a group.

    Attributes:
        members: How many channels the group has here.
        full: How many of them were full and did not get it.
    """

    members: int
    full: int


class Switchboard:
    """Mailboxes by channel, and channels by group.

    Args:
        capacity_of: How many messages may wait in a channel.
        max_bytes: How large they may be together.
        expiry_s: For how long a message waits.
        group_expiry_s: For how long a channel stays in a group when nobody has received from it.

    Attributes:
        groups: The mailboxes of each group, by channel.
        expired: Messages that were dropped because nobody took them in time.
        gathering: Who listens to groups, and is woken.
    """

    def __init__(
        self, capacity_of: Callable[[str], int], *, max_bytes: int, expiry_s: float, group_expiry_s: float
    ) -> None:
        self.groups: dict[str, dict[str, Mailbox]] = {}
        self.expired: int = 0
        self.gathering: Gathering = Gathering()
        self._capacity_of = capacity_of
        self._max_bytes = max_bytes
        self._expiry_s = expiry_s
        self._group_expiry_s = group_expiry_s
        self._mailboxes: dict[str, Mailbox] = {}
        self._due: deque[tuple[float, Mailbox]] = deque()
        self._orphans: deque[str] = deque()
        self._lock = threading.Lock()

    @property
    def active(self) -> dict[str, Mailbox]:
        """The channels in which something waits, or on which somebody waits."""
        with self._lock:
            return {name: mailbox for name, mailbox in self._mailboxes.items() if mailbox.is_active}

    def clear(self) -> None:
        """Forget all messages and groups; who listens goes on listening."""
        with self._lock:
            self.groups.clear()
            self._due.clear()
            for mailbox in list(self._mailboxes.values()):
                mailbox.clear()
                mailbox.groups.clear()
                mailbox.is_due = False
                self._release(mailbox)

    # ── Sending ──

    def send(self, channel: str, message: Message, now: float, *, is_owned: bool = False) -> bool:
        """Put a message into a channel; return False when that is full.

        Args:
            channel: The channel.
            message: The message.
            now: The time.
            is_owned: Whether nobody else has the message, so that it need not be copied.
        """
        letter = Letter(message, now + self._expiry_s, is_owned=is_owned)
        with self._lock:
            mailbox = self._mailbox(channel, now)
            if not self._put(mailbox, letter, now):
                return False
            self._watch(mailbox, letter.deadline)
            waiter = mailbox.to_wake()
        if waiter is not None:
            wake((waiter,))
        return True

    def group_send(self, group: str, message: Message, now: float, *, is_owned: bool = False) -> Sent:
        """Put a message into every channel of a group; see `send`."""
        letter = Letter(message, now + self._expiry_s, is_owned=is_owned)
        listeners: list[Waiter] = []
        waiters: list[Waiter] = []
        full = 0
        is_filling = False
        is_held = self.gathering.is_held(group)
        with self._lock:
            self._look_after(now)
            members = self.groups.get(group)
            if members is None:
                return Sent(0, 0)
            forgotten: list[Mailbox] = []
            for mailbox in members.values():
                listener = mailbox.listener
                if listener is None and self._is_forgotten(mailbox, now):
                    forgotten.append(mailbox)
                    continue
                waiting = mailbox.put(letter) or self._put(mailbox, letter, now)
                is_filling = is_filling or (is_held and mailbox.is_filling)
                if not waiting:
                    full += 1
                elif listener is None:
                    self._watch(mailbox, letter.deadline)
                    waiter = mailbox.to_wake()
                    if waiter is not None:
                        waiters.append(waiter)
                elif waiting == 1 or (mailbox.is_filling and not is_held):
                    # It takes all that is there before it sleeps, so only the first message needs to wake it, unless
                    # another group holds that back.
                    listeners.append(listener)
            count = len(members)
            for mailbox in forgotten:
                self._leave(group, mailbox)
        wake(waiters)
        self.gathering.wake(group, listeners, at_once=is_filling or full > 0)
        return Sent(count - len(forgotten), full)

    def missed(self, group: str, count: int | None) -> None:
        """Let the consumers of a group know that messages did not come; None stands for an unknown number."""
        waiters: list[Waiter] = []
        with self._lock:
            for mailbox in self.groups.get(group, {}).values():
                if mailbox.listener is not None:
                    mailbox.note_missed(count)
                    waiters.append(mailbox.listener)
        wake(waiters)

    # ── Groups ──

    def add(self, group: str, channel: str, now: float) -> bool:
        """Add a channel to a group; return whether it is the group's first."""
        with self._lock:
            self._look_after(now)
            members = self.groups.get(group)
            is_first = members is None
            if members is None:
                members = self.groups[group] = {}
            mailbox = members[channel] = self._mailbox(channel, now)
            mailbox.seen = now
            mailbox.groups.add(group)
            return is_first

    def discard(self, group: str, channel: str) -> bool:
        """Remove a channel from a group if it is in it; return whether the group is empty now."""
        with self._lock:
            mailbox = self.groups.get(group, {}).get(channel)
            if mailbox is None:
                return False
            self._leave(group, mailbox)
            return group not in self.groups

    # ── Receiving ──

    async def receive(self, channel: str, clock: Callable[[], float]) -> Message:
        """Return the next message of a channel; who came first gets it."""
        loop = asyncio.get_running_loop()
        while True:
            with self._lock:
                now = clock()
                self._look_after(now)
                mailbox = self._mailbox(channel, now)
                mailbox.is_orphan = False
                mailbox.seen = now
                self.expired += mailbox.drop_expired(now)
                message = mailbox.take(now)
                if message is not None:
                    self._release(mailbox)
                    return message
                future: asyncio.Future[None] = loop.create_future()
                waiter = Waiter(loop, threading.get_ident(), partial(_done, future))
                mailbox.wait(waiter)
            try:
                await future
            except BaseException:
                self._give_up(mailbox, waiter, clock())
                raise

    def listen(self, channel: str, waiter: Waiter, now: float) -> Mailbox:
        """Let a consumer take all that comes; it is woken when something does, and calls `hang_up` in the end."""
        with self._lock:
            mailbox = self._mailbox(channel, now)
            mailbox.listener = waiter
            return mailbox

    def take(self, mailbox: Mailbox, now: float) -> Message | Missed | None:
        """Remove and return what a consumer handles next."""
        with self._lock:
            taken = mailbox.take_any(now)
            if taken is None and mailbox.messages:
                self.expired += mailbox.drop_expired(now)
                taken = mailbox.take_any(now)
            return taken

    def hang_up(self, mailbox: Mailbox) -> list[str]:
        """End a consumer's channel: out of every group, nothing queued. Return the groups that are empty now."""
        with self._lock:
            mailbox.listener = None
            return self._end(mailbox)

    def orphaned(self, channel: str) -> None:
        """Know that nobody in this process holds the name of a channel any more. Safe in a finaliser."""
        self._orphans.append(channel)  # the lock may be held by the very thread that collects garbage

    # ── What nobody takes ──

    def _look_after(self, now: float) -> None:
        while self._orphans:
            mailbox = self._mailboxes.get(self._orphans.popleft())
            if mailbox is not None and not mailbox.is_heard:
                # Somebody may still receive by a copy of the name, so it has the time that a message has.
                mailbox.is_orphan = True
                mailbox.seen = now
                self._watch(mailbox, now + self._expiry_s)
        while self._due and self._due[0][0] <= now:
            mailbox = self._due.popleft()[1]
            mailbox.is_due = False
            self.expired += mailbox.drop_expired(now)
            if mailbox.is_orphan and not mailbox.is_heard and now - mailbox.seen >= self._expiry_s:
                self._end(mailbox)
            elif len(mailbox) or mailbox.is_orphan:
                self._watch(mailbox, now + self._expiry_s)
            else:
                self._release(mailbox)

    def _watch(self, mailbox: Mailbox, deadline: float) -> None:
        if not mailbox.is_due:
            mailbox.is_due = True
            self._due.append((deadline, mailbox))

    def _is_forgotten(self, mailbox: Mailbox, now: float) -> bool:
        return now - mailbox.seen > self._group_expiry_s and not mailbox.is_heard

    # ── Mailboxes ──

    def _mailbox(self, channel: str, now: float) -> Mailbox:
        mailbox = self._mailboxes.get(channel)
        if mailbox is None:
            mailbox = Mailbox(channel, self._capacity_of(channel), self._max_bytes, now)
            self._mailboxes[channel] = mailbox
        return mailbox

    def _put(self, mailbox: Mailbox, letter: Letter, now: float) -> int:
        """Put a message where there may be no room; return how many wait then, or 0 when it was refused."""
        waiting = mailbox.put(letter)
        if not waiting and (dropped := mailbox.drop_expired(now)):
            # What nobody takes in time makes room for what comes.
            self.expired += dropped
            waiting = mailbox.put(letter)
        if not waiting:
            mailbox.refuse()
        return waiting

    def _leave(self, group: str, mailbox: Mailbox) -> None:
        mailbox.groups.discard(group)
        members = self.groups[group]
        del members[mailbox.name]
        if not members:
            del self.groups[group]
        self._release(mailbox)

    def _end(self, mailbox: Mailbox) -> list[str]:
        groups = list(mailbox.groups)
        mailbox.clear()
        for group in groups:
            self._leave(group, mailbox)
        self._release(mailbox)
        return [group for group in groups if group not in self.groups]

    def _release(self, mailbox: Mailbox) -> None:
        # One that is looked after may have been released before, and another may have its name now.
        if not mailbox.is_active and not mailbox.groups and self._mailboxes.get(mailbox.name) is mailbox:
            del self._mailboxes[mailbox.name]

    def _give_up(self, mailbox: Mailbox, waiter: Waiter, now: float) -> None:
        with self._lock:
            # It had been called and does not come, so the next in line is called.
            following = None
            if not mailbox.give_up(waiter) and len(mailbox):
                following = mailbox.to_wake()
            mailbox.seen = now
            self._release(mailbox)
        if following is not None:
            wake((following,))


def _done(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
