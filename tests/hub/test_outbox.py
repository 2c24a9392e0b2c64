"""The outbox: bounded in messages and in bytes, in order; what a policy lets it skip is told exactly."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from roomful.core.names import RoomName
from roomful.core.ports import Frame
from roomful.core.positions import Gap, Position
from roomful.hub.outbox import Entry, Outbox, Ranges

MAX_MESSAGES, MAX_BYTES = 4, 10
PLAIN, DROPS, CONFLATES = RoomName("plain"), RoomName("drops"), RoomName("conflates")


def no_notice(room: RoomName, gap: Gap) -> Frame | None:
    raise AssertionError(f"nothing may be skipped in {room}: {gap}")


def plain_outbox(*, max_messages: int, max_bytes: int) -> Outbox:
    return Outbox(max_messages=max_messages, max_bytes=max_bytes, notice=no_notice, on_skip=pytest.fail)


def entry(size: int, data: object = None) -> Entry:
    return Entry(Frame(data, size))


def offsets(gap: Gap) -> set[int]:
    return {offset for first, last in gap.ranges or () for offset in range(first, last + 1)}


class OutboxMachine(RuleBasedStateMachine):
    """Of every entry that was taken up, a client gets the frame, or an exact notice before the room's next frame."""

    def __init__(self) -> None:
        super().__init__()
        self.counted: list[Entry] = []
        self.outbox = Outbox(
            max_messages=MAX_MESSAGES,
            max_bytes=MAX_BYTES,
            notice=lambda room, gap: Frame((room, gap), 0),
            on_skip=self.counted.append,
        )
        self.owed: list[Entry] = []
        self.got: list[Entry] = []
        self.told: set[tuple[RoomName, int]] = set()
        self.offset = 0

    @rule(size=st.integers(0, 15), room=st.sampled_from([None, PLAIN]))
    def offer(self, size: int, room: RoomName | None) -> None:
        self.offset += 1
        offered = Entry(Frame(None, size), room, Position("e", self.offset))
        rest = [e for e in self.waiting if not e.skips]
        total = sum(e.frame.size for e in rest) + size
        fits = not rest or (len(rest) < MAX_MESSAGES and total <= MAX_BYTES)
        assert self.outbox.offer(offered) == fits
        if fits:
            self.owed.append(offered)

    @rule(size=st.integers(0, 15), epoch=st.sampled_from("ab"), key=st.sampled_from(["", "x", "y"]))
    def offer_what_may_be_skipped(self, size: int, epoch: str, key: str) -> None:
        self.offset += 1
        room = CONFLATES if key else DROPS
        offered = Entry(Frame(None, size), room, Position(epoch, self.offset), key, skips=True)
        assert self.outbox.offer(offered)
        self.owed.append(offered)
        if key:
            same = [e for e in self.waiting if e.key == key]
            assert same in ([offered], []), "an older one with the same key is replaced"

    @rule(max_bytes=st.integers(1, 12))
    def take(self, max_bytes: int) -> None:
        taken = self.outbox.take(max_bytes)
        frames = [e for e in taken if e.at is not None]
        assert bool(frames) == bool(self.waiting)
        assert len(frames) == 1 or sum(e.frame.size for e in frames) <= max_bytes
        for one in taken:
            if one.at is None:
                room, gap = one.frame.data  # type: ignore[misc] # as the notice above makes it
                for offset in offsets(gap):
                    assert (room, offset) not in self.told
                    self.told.add((room, offset))
            else:
                for earlier in self.counted:
                    if (
                        earlier.room == one.room
                        and earlier.at is not None
                        and earlier.at.offset < one.at.offset
                    ):
                        assert (earlier.room, earlier.at.offset) in self.told
                self.got.append(one)
        if not self.waiting:
            assert len(self.told) == len(self.counted), "nothing is left to be told"

    @property
    def waiting(self) -> list[Entry]:
        done = {id(e) for e in self.got} | {id(e) for e in self.counted}
        return [e for e in self.owed if id(e) not in done]

    @invariant()
    def it_is_bounded_and_in_order(self) -> None:
        waiting = self.waiting
        assert len(self.outbox) == len(waiting) <= MAX_MESSAGES
        assert self.outbox.size == sum(e.frame.size for e in waiting)
        assert len(waiting) == 1 or self.outbox.size <= MAX_BYTES
        assert self.outbox.has_room == (
            len(waiting) * 2 <= MAX_MESSAGES and self.outbox.size * 2 <= MAX_BYTES
        )
        assert self.got == [e for e in self.owed if any(e is g for g in self.got)]


TestOutbox = OutboxMachine.TestCase
TestOutbox.settings = settings(max_examples=150, stateful_step_count=40)


def test_a_frame_above_the_bound_is_taken_when_nothing_waits() -> None:
    """Else a large image could never reach a member whose transport is full."""
    outbox = plain_outbox(max_messages=4, max_bytes=10)
    assert outbox.offer(entry(1000))
    assert not outbox.offer(entry(0))
    assert [e.frame.size for e in outbox.take(1)] == [1000]


def test_take_gives_one_at_least() -> None:
    """A frame that is larger than what is asked for is still taken."""
    outbox = plain_outbox(max_messages=2, max_bytes=10)
    assert outbox.offer(entry(5, "a"))
    assert outbox.offer(entry(5, "b"))
    assert [e.frame.data for e in outbox.take(1)] == ["a"]
    assert [e.frame.data for e in outbox.take(100)] == ["b"]
    assert outbox.take(100) == []


@given(st.lists(st.integers(0, 30)))
def test_ranges_are_exact_and_few(numbers: list[int]) -> None:
    """Neighbours are one range, in whatever order they come."""
    ranges = Ranges()
    for number in numbers:
        ranges.add(number)
    found = ranges.all()
    assert [n for first, last in found for n in range(first, last + 1)] == sorted(set(numbers))
    assert all(last + 1 < first for (_, last), (first, _) in itertools.pairwise(found))
