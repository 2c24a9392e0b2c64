"""The roster: after any loss, doubling and delay of changes it knows what the layer knows."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from roomful.core.capabilities import Change, Occupants
from roomful.core.positions import Position
from roomful.hub.roster import Roster


class Source:
    """A layer's presence of one room, with all that it has published."""

    def __init__(self) -> None:
        self.epoch = 0
        self.who: dict[str, bytes] = {}
        self.published: list[tuple[Position, Change]] = []
        self.top = 0

    def change(self, who: str, info: bytes | None) -> None:
        self.top += 1
        if info is None:
            self.who.pop(who, None)
        else:
            self.who[who] = info
        self.published.append((Position(f"e{self.epoch}", self.top), Change(who, info)))

    def answer(self) -> Occupants:
        return Occupants(Position(f"e{self.epoch}", self.top), dict(self.who))


def told(members: dict[str, bytes], change: Change) -> None:
    """Apply a change as a client does."""
    members.pop(change.who, None)
    if change.info is not None:
        members[change.who] = change.info


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("change"), st.sampled_from("abc"), st.sampled_from([None, b"1", b"2"])),
        st.tuples(
            st.sampled_from(["deliver", "again", "lose", "ask", "answer", "suspect", "epoch"]),
            st.just(""),
            st.none(),
        ),
    ),
    max_size=60,
)


class Trial:
    """A source, a roster, and a member that is told what the roster passes on."""

    def __init__(self) -> None:
        self.source, self.roster = Source(), Roster()
        self.members: dict[str, bytes] = {}
        self.delivered: list[tuple[Position, Change]] = []
        self.answers: list[Occupants] = []

    def change(self, who: str, info: bytes | None) -> None:
        self.source.change(who, info)

    def deliver(self, *_: object) -> None:
        if self.source.published:
            self.delivered.append(self.source.published.pop(0))
            self.again()

    def again(self, *_: object) -> None:
        if self.delivered and self.roster.take(*self.delivered[-1]):
            told(self.members, self.delivered[-1][1])

    def lose(self, *_: object) -> None:
        del self.source.published[:1]

    def epoch(self, *_: object) -> None:
        self.source.epoch += 1
        self.source.top = 0

    def ask(self, *_: object) -> None:
        if self.roster.is_behind and not self.answers:
            self.answers.append(self.source.answer())

    def answer(self, *_: object) -> None:
        if self.answers and self.roster.is_behind:
            answer = self.answers.pop()
            passed = self.roster.heal(answer)
            self.members = dict(answer.who)
            for _at, change in passed:
                told(self.members, change)

    def suspect(self, *_: object) -> None:
        self.roster.suspect()


@given(STEPS)
@settings(max_examples=200)
def test_members_end_with_what_the_layer_knows(steps: list[tuple[str, str, bytes | None]]) -> None:
    """A snapshot and what follows it are the state, whatever was lost, repeated or crossed an answer."""
    trial = Trial()
    for what, who, info in steps:
        getattr(trial, what)(who, info)
        assert trial.roster.is_behind or trial.members == trial.roster.occupants.who

    # Whoever loses a change says so, in the end; then the last answer settles it.
    while trial.source.published:
        trial.deliver()
    trial.suspect()
    trial.answer()
    for _ in range(3):
        trial.ask()
        trial.answer()
    assert not trial.roster.is_behind
    assert trial.members == trial.source.who


def test_answer_that_crossed_a_hole_is_asked_for_again() -> None:
    """What stands behind a hole is not applied: a later answer has it."""
    roster = Roster()
    assert roster.heal(Occupants(Position("e", 3), {"ada": b"1"})) == []
    assert not roster.take(Position("e", 3), Change("eve", b"1")), "known"
    assert not roster.take(Position("e", 5), Change("bob", b"1")), "behind a hole"
    assert roster.is_behind

    assert roster.heal(Occupants(Position("e", 3), {"ada": b"1"})) == []
    assert roster.is_behind
    assert roster.heal(Occupants(Position("e", 5), {"ada": b"1", "bob": b"1"})) == []
    assert not roster.is_behind
    assert roster.take(Position("e", 6), Change("ada", None))
    assert roster.occupants == Occupants(Position("e", 6), {"bob": b"1"})


def test_suspicion_during_a_question_asks_again() -> None:
    """The answer may be older than what was lost."""
    roster = Roster()
    roster.heal(Occupants(Position("e", 1), {}))
    roster.suspect()
    roster.suspect()
    roster.heal(Occupants(Position("e", 1), {}))
    assert roster.is_behind
    roster.heal(Occupants(Position("e", 2), {"ada": b"1"}))
    assert not roster.is_behind
