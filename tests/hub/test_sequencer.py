"""The sequencer: one order without holes under any interleaving of what a layer delivers, suspects and remembers."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from roomful.core.ports import Page
from roomful.core.positions import Gap, Position
from roomful.hub import sequencer
from roomful.hub.sequencer import Sequencer, gap_between


class SequencerMachine(RuleBasedStateMachine):
    """A layer that loses deliveries and says so; a history that may have been read long ago, and forgets."""

    def __init__(self) -> None:
        super().__init__()
        self.sequencer = Sequencer()
        self.sequencer.top = Position("e", 0)
        self.log: list[Position] = []
        self.on_the_way: list[Position] = []
        self.evicted = 0
        self.page: Page | None = None
        self.passed: list[Position] = []
        self.missed: set[int] = set()

    @rule()
    def publish(self) -> None:
        at = Position("e", len(self.log) + 1)
        self.log.append(at)
        self.on_the_way.append(at)

    @rule()
    def deliver(self) -> None:
        if self.on_the_way:
            at = self.on_the_way.pop(0)
            if self.sequencer.deliver(at, b""):
                self.take(at)

    @rule()
    def deliver_again(self) -> None:
        if self.log and not self.on_the_way:
            assert not self.sequencer.deliver(self.log[-1], b"")

    @rule(count=st.integers(1, 3))
    def lose_and_suspect(self, count: int) -> None:
        del self.on_the_way[:count]
        self.sequencer.suspect()

    @rule()
    def lose_without_a_word(self) -> None:
        # What comes next shows it; without a next one only the layer can know, and says so.
        if len(self.on_the_way) > 1:
            del self.on_the_way[0]

    @rule(count=st.integers(1, 3))
    def evict(self, count: int) -> None:
        self.evicted = min(len(self.log), self.evicted + count)

    @rule(limit=st.integers(1, 3))
    def ask(self, limit: int) -> None:
        if self.sequencer.is_behind and self.page is None:
            first = max(self.sequencer.top.offset, self.evicted)
            entries = tuple((at, b"") for at in self.log[first : first + limit])
            complete = first == self.sequencer.top.offset
            self.page = Page(entries, complete, Position("e", len(self.log)))

    @rule()
    def answer(self) -> None:
        if self.page is not None:
            page, self.page = self.page, None
            gap, events = self.sequencer.read(page)
            if gap is not None:
                assert gap.reason == "evicted"
                for first, last in gap.ranges or ():
                    self.missed |= set(range(first, last + 1))
                    assert last <= self.evicted, "only what nobody has is missed"
            for at, _ in events:
                self.take(at)

    def take(self, at: Position) -> None:
        self.passed.append(at)

    @invariant()
    def there_is_no_hole_and_nothing_twice(self) -> None:
        offsets = [at.offset for at in self.passed]
        assert offsets == sorted(set(offsets))
        assert not self.missed & set(offsets)
        assert set(offsets) | self.missed == set(range(1, self.sequencer.top.offset + 1))

    def teardown(self) -> None:
        while self.on_the_way:
            self.deliver()
        for _ in range(3 * len(self.log) + 3):
            self.ask(limit=3)
            self.answer()
        assert not self.sequencer.is_behind
        assert self.sequencer.top.offset == len(self.log)


TestSequencer = SequencerMachine.TestCase
TestSequencer.settings = settings(max_examples=200, stateful_step_count=40)


def test_an_epoch_that_the_lineage_covers_goes_on() -> None:
    """A page that is complete leads into the next epoch without a notice."""
    sequencer = Sequencer()
    sequencer.top = Position("a", 2)
    sequencer.suspect()
    page = Page(((Position("b", 3), b"x"),), complete=True, top=Position("b", 3))
    assert sequencer.read(page) == (None, [(Position("b", 3), b"x")])
    assert not sequencer.is_behind
    assert sequencer.deliver(Position("b", 4), b"y")


def test_an_epoch_without_lineage_is_told_and_what_is_held_goes_on() -> None:
    """Nobody can know what was missed, and what came since is not dropped."""
    sequencer = Sequencer()
    sequencer.top = Position("a", 9)
    assert not sequencer.deliver(Position("b", 1), b"x")
    assert sequencer.is_behind
    gap, events = sequencer.read(Page((), complete=False, top=Position("b", 1)))
    assert gap == Gap("epoch", "b")
    assert events == [(Position("b", 1), b"x")]
    assert not sequencer.is_behind


def test_a_history_that_has_lost_writes_is_told() -> None:
    """The layer stands before what it had delivered, in the same epoch."""
    sequencer = Sequencer()
    sequencer.top = Position("a", 9)
    sequencer.suspect()
    gap, events = sequencer.read(Page((), complete=False, top=Position("a", 4)))
    assert (gap, events) == (Gap("unknown", "a"), [])
    assert sequencer.deliver(Position("a", 5), b"")


def test_without_a_history_what_is_held_closes_the_hole() -> None:
    """Only what neither the history nor the subscription has is missed."""
    sequencer = Sequencer()
    sequencer.top = Position("a", 1)
    sequencer.suspect()
    assert not sequencer.deliver(Position("a", 4), b"4")
    gap, events = sequencer.read(Page((), complete=False, top=Position("a", 4)))
    assert gap == Gap("evicted", "a", ((2, 3),))
    assert events == [(Position("a", 4), b"4")]
    assert not sequencer.is_behind


def test_what_is_held_is_bounded_and_read_from_the_history() -> None:
    """A history that takes long to read lets nothing grow."""
    sequencer = Sequencer()
    sequencer.top = Position("a", 0)
    sequencer.suspect()
    for offset in range(2, 5000):
        assert not sequencer.deliver(Position("a", offset), b"")
    top = Position("a", 4999)
    passed = []
    while sequencer.is_behind:
        first = sequencer.top.offset
        entries = tuple((Position("a", o), b"") for o in range(first + 1, min(first + 257, 5000)))
        gap, events = sequencer.read(Page(entries, complete=True, top=top))
        assert gap is None
        passed += [at.offset for at, _ in events]
    assert passed == list(range(1, 5000))


def test_what_was_suspected_while_the_history_was_read_is_read_again() -> None:
    """The page may have been read before the loss."""
    sequencer = Sequencer()
    sequencer.top = Position("a", 0)
    sequencer.suspect()
    sequencer.suspect()
    assert sequencer.read(Page((), complete=True, top=Position("a", 0))) == (None, [])
    assert sequencer.is_behind
    page = Page(((Position("a", 1), b"x"),), complete=True, top=Position("a", 1))
    assert sequencer.read(page) == (None, [(Position("a", 1), b"x")])
    assert not sequencer.is_behind


def test_what_is_missing_behind_what_is_held_is_told_too() -> None:
    """Nothing that the page knows of is left out because something was held before it."""
    sequencer = Sequencer()
    sequencer.top = Position("a", 0)
    sequencer.suspect()
    assert not sequencer.deliver(Position("a", 2), b"2")
    page = Page((), complete=False, top=Position("a", 3))
    assert sequencer.read(page) == (Gap("evicted", "a", ((1, 1),)), [(Position("a", 2), b"2")])
    assert sequencer.is_behind
    assert sequencer.read(page) == (Gap("evicted", "a", ((3, 3),)), [])
    assert not sequencer.is_behind


def test_the_gap_between_two_positions() -> None:
    """Ranges are known within one epoch alone."""
    at = Position
    assert gap_between(at("a", 3), at("a", 3)) is None
    assert gap_between(at("a", 3), at("a", 5)) == Gap("evicted", "a", ((4, 5),))
    assert gap_between(at("a", 5), at("a", 3)) == Gap("unknown", "a")
    assert gap_between(at("a", 3), at("b", 5)) == Gap("epoch", "b")


def test_sequencer_what_was_held_of_an_epoch_that_led_to_the_next_is_known() -> None:
    """The history gives it under the new epoch, so that it is passed on once and nobody is told of a gap."""
    sequencer = Sequencer()
    sequencer.top = Position("old", 90)
    for at in (Position("old", 92), Position("new", 96)):
        assert not sequencer.deliver(at, b"")
    events = [(Position("new", offset), b"") for offset in range(91, 98)]

    gap, passed = sequencer.read(Page(tuple(events), complete=True, top=Position("new", 97)))

    assert (gap, passed) == (None, events)
    assert not sequencer.is_behind
    assert sequencer.top == Position("new", 97)


def test_what_waits_for_the_history_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit is read from the history as well; a single event always waits."""
    monkeypatch.setattr(sequencer, "_MAX_HELD_BYTES", 10)
    order = Sequencer()
    order.top = Position("e", 0)
    order.suspect()
    events = [(Position("e", offset), bytes(6)) for offset in range(1, 4)]
    for event in events:
        assert not order.deliver(*event)
    assert order.read(Page((), complete=True, top=Position("e", 0))) == (None, events[:1])
    assert order.is_behind
    assert order.read(Page(tuple(events[1:]), complete=True, top=Position("e", 3))) == (None, events[1:])
    assert not order.is_behind
