"""Mutations of the library: each breaks one rule that it keeps, so that a test can see whether the nemesis finds it.

They patch what they break in place, in the process of a server that is tortured.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from roomful.consumers.answers import Answers
from roomful.core.deed import Deed
from roomful.core.ledger import Verdict
from roomful.core.names import RoomName
from roomful.core.ports import Page
from roomful.core.positions import Gap, Position
from roomful.hub import replay, sequencer
from roomful.hub.connection import Connection
from roomful.hub.memberships import Memberships
from roomful.hub.outbox import Entry, Outbox, Ranges
from roomful.hub.outlet import Outlet
from roomful.hub.replay import Replays
from roomful.hub.rooms import Branch
from roomful.hub.sequencer import Numbered, Sequencer
from roomful.wire.kinds import Kind

__all__ = ("MUTATIONS", "Mutation")

Mutation = Callable[[], None]

MUTATIONS: dict[str, tuple[Mutation, Verdict | str]] = {}
"""What each breaks, and what the nemesis must say of it: a verdict, or a word of a contradiction, or *stuck*."""


def mutation(found_as: Verdict | str) -> Callable[[Mutation], Mutation]:
    def register(mutate: Mutation) -> Mutation:
        MUTATIONS[mutate.__name__] = mutate, found_as
        return mutate

    return register


def patch(owner: Any, name: str, replacement: Any) -> None:
    setattr(owner, name, replacement)


@mutation(Verdict.DUPLICATE)
def flush_knows_nobody_ahead() -> None:
    """A member that was written to between two flushes gets its share of the batch again."""

    def catch_up(self: Branch[Any], member: object) -> Sequence[Entry]:
        del member
        return tuple(self.pending)

    patch(Branch, "catch_up", catch_up)


@mutation(Verdict.DUPLICATE)
def slow_members_are_a_second_set() -> None:
    """A member whose transport fills up within the flush is met again among the slow ones."""
    flush = Branch.flush

    def flush_both_sets(self: Branch[Any]) -> list[tuple[Any, Exception]]:
        batch = tuple(self.pending)
        fast = {member for member, write in self.writers.items() if not isinstance(write, partial)}
        broken = flush(self)
        self.writing = batch
        for member, write in list(self.writers.items()):
            if member in fast and isinstance(write, partial) and batch:
                write(None)
        self.writing = ()
        return broken

    patch(Branch, "flush", flush_both_sets)


@mutation("stuck")
def join_says_nothing() -> None:
    """A member is not told where it stands."""
    joined = Kind.joined

    def say_nothing(self: Kind, room: RoomName, at: Position, *, recovered: bool) -> object:
        return None if at.epoch else joined(self, room, at, recovered=recovered)

    patch(Kind, "joined", say_nothing)


@mutation(Verdict.LOST)
def notice_of_the_outbox_is_too_short() -> None:
    """The last event of a range that was dropped is not told."""
    ranges = Ranges.all

    def all_but_one(self: Ranges) -> tuple[tuple[int, int], ...]:
        return tuple((first, last - 1) for first, last in ranges(self) if last > first)

    patch(Ranges, "all", all_but_one)


@mutation(Verdict.LOST)
def notice_of_a_replay_is_too_short() -> None:
    """The first event that is gone from the history is not told."""
    between = sequencer.gap_between

    def too_short(known: Position, start: Position) -> Gap | None:
        gap = between(known, start)
        if gap is None or not gap.ranges:
            return gap
        return Gap(
            gap.reason, gap.epoch, tuple((first + 1, last) for first, last in gap.ranges if first < last)
        )

    patch(replay, "gap_between", too_short)


@mutation(Verdict.LOST)
def replay_starts_one_later() -> None:
    """The first event after the position that a client names is left out."""
    page_of = Replays._page

    async def page_without_the_first(self: Replays, *how: Any) -> Page:
        page = await page_of(self, *how)
        return Page(page.entries[1:] or page.entries, page.complete, page.top)

    patch(Replays, "_page", page_without_the_first)


@mutation(Verdict.LOST)
def resume_is_only_said_to_be_recovered() -> None:
    """A member that comes back goes on at the top, and is told that it has everything."""

    async def run(self: Replays, *how: Any) -> bool:
        del self, how
        return True

    patch(Replays, "run", run)


@mutation(Verdict.LOST)
def sequencer_drops_what_it_held() -> None:
    """What came while the history was read is counted and not passed on."""

    def release(self: Sequencer, held: deque[Numbered], passed: list[Numbered]) -> None:
        del passed
        while held and (self._follows(held[0][0]) or self._is_known(held[0][0])):
            at, _ = held.popleft()
            if self._follows(at):
                self.top = at

    patch(Sequencer, "_release", release)


@mutation(Verdict.LOST)
def outbox_forgets_an_entry() -> None:
    """One of ten entries that wait for a slow member is not kept."""
    offer, offered = Outbox.offer, 0

    def forgetful(self: Outbox, entry: Entry) -> bool:
        nonlocal offered
        offered += 1
        return offered % 10 == 0 or offer(self, entry)

    patch(Outbox, "offer", forgetful)


@mutation(Verdict.REORDERED)
def resumed_writer_overtakes_its_outbox() -> None:
    """A transport that has room again is written to directly while the outbox is not yet empty."""

    def resumed(self: Outlet) -> None:
        self._full = False
        outbox, self._outbox = self._outbox, None
        self._redirected()
        if outbox is not None and len(outbox):
            entries = outbox.take(1 << 30)
            # What is pushed in this pass goes first.
            self._engine.call_later(0.01, lambda: self._write_through(entries))  # type: ignore[attr-defined]

    patch(Connection, "resumed", resumed)


@mutation(Verdict.LOST)
def leaving_forgets_what_is_owed() -> None:
    """A member that leaves does not get what was pushed just before."""

    def leave(self: Memberships, connection: Connection, room: str) -> None:
        if RoomName(room) in connection.memberships:
            self._leave(connection, RoomName(room))

    patch(Memberships, "leave", leave)


@mutation("overtook")
def reply_overtakes_the_room() -> None:
    """A reply is written before what is pending in the rooms of its connection."""

    def send_frame(self: Outlet, frame: Any) -> None:
        self._write([Entry(frame)])

    patch(Outlet, "send_frame", send_frame)


@mutation(Verdict.DUPLICATE)
def messages_are_not_remembered() -> None:
    """A message that is sent again is handled again, and its pushes have no key."""

    async def claim(self: Answers, key: str) -> None:
        del self, key

    patch(Answers, "claim", claim)
    patch(Deed, "next_key", lambda self: None)


@mutation("was answered")
def copy_gets_another_answer() -> None:
    """Whoever sends a message again is told a position that is not its event's."""
    again = Answers._again

    def wrong(self: Answers, answer: bytes) -> bytes:
        return re.sub(rb':(\d+)"', rb':1\1"', again(self, answer))

    patch(Answers, "_again", wrong)
