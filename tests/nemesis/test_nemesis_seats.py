"""What the nemesis makes of what a server says: a server without fault passes, and each planted fault is found."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomful.core.ledger import Judgement, Verdict
from roomful.core.positions import Position
from roomful.testing.nemesis.record import Asked, Record
from roomful.testing.nemesis.seats import Seats
from roomful.testing.nemesis.subject import body

ROOM = "kept:hall"


class Model:
    """A server with one room and one client, which keeps every promise."""

    def __init__(self, history: int) -> None:
        self.record = Record()
        self.seats = Seats(1, self.record, lambda number, answer: None)
        self.frames: list[dict[str, Any]] = []
        """What is on its way to the client."""
        self._history = history
        self._epoch = "e1"
        self._top = 0
        self._pushed = 0
        self.is_member = False
        self._kept: list[tuple[int, Asked]] = []

    def push(self, *, excluded: bool = False) -> None:
        """Push an event, of which an excluded member gets the position."""
        asked = Asked("somebody", self._pushed, ROOM, f"run.2.{self._pushed}", 1, 30)
        self._pushed += 1
        self._top += 1
        self.record.asks(asked)
        self.record.answered(asked, (f"{self._epoch}:{self._top}",))
        if self.is_member:
            self.frames.append(self._position() if excluded else self._event(self._top, asked))
        self._kept.append((self._top, asked))
        del self._kept[: len(self._kept) - self._history]

    def join(self) -> None:
        """Connect, and resume where the client says that it stood."""
        if ROOM not in self.seats.wanted:
            self.seats.take(ROOM)
        resume = self.seats.dial()
        recovered = False
        if ROOM in resume:
            at = Position.parse(resume[ROOM])
            kept = [entry for entry in self._kept if entry[0] > at.offset]
            first = kept[0][0] if kept else self._top + 1
            if at.epoch != self._epoch:
                self.frames.append(self._gap(None))
                kept = []
            elif first > at.offset + 1:
                self.frames.append(self._gap([[at.offset + 1, first - 1]]))
            else:
                recovered = True
            self.frames += [self._event(offset, asked) for offset, asked in kept]
        self.frames.append(
            {
                "type": "roomful.joined",
                "room": ROOM,
                "pos": f"{self._epoch}:{self._top}",
                "recovered": recovered,
            }
        )
        self.is_member = True

    def read(self, count: int) -> None:
        """Let the client read some of what is on its way."""
        while self.frames and count:
            self.seats.received(json.dumps(self.frames.pop(0)).encode())
            count -= 1

    def cut(self) -> None:
        """Lose what is on its way."""
        self.frames.clear()
        self.is_member = False

    def die(self) -> None:
        """Begin anew, with nothing kept."""
        self.cut()
        self._epoch = f"{self._epoch}x"
        self._top = 0
        self._kept.clear()

    def finish(self) -> Judgement:
        """Let the client become whole and leave; judge."""
        if not self.is_member:
            self.join()
        self.read(1 << 30)
        self.seats.left(ROOM, Position(self._epoch, self._top))
        outbound, inbound = self.record.judge()
        assert inbound.ok
        return outbound

    def _event(self, offset: int, asked: Asked) -> dict[str, Any]:
        at = f"{self._epoch}:{offset}"
        return {"type": "e", "data": body(asked.name, 0, asked.size), "room": ROOM, "pos": at}

    def _position(self) -> dict[str, Any]:
        return {"type": "roomful.position", "room": ROOM, "pos": f"{self._epoch}:{self._top}"}

    def _gap(self, ranges: list[list[int]] | None) -> dict[str, Any]:
        return {"type": "roomful.gap", "room": ROOM, "epoch": self._epoch, "ranges": ranges, "reason": "test"}


deeds = st.lists(
    st.tuples(st.sampled_from(["push", "exclude", "read", "cut", "join", "die"]), st.integers(0, 8)),
    max_size=60,
)


@given(deeds, st.sampled_from([0, 3, 1000]))
def test_server_without_fault_passes(deeds: list[tuple[str, int]], history: int) -> None:
    """Whatever happens to the connection and to the server, everything is delivered or told."""
    model = Model(history)
    model.join()
    for deed, amount in deeds:
        match deed:
            case "push" | "exclude":
                for _ in range(amount):
                    model.push(excluded=deed == "exclude")
            case "read":
                model.read(amount)
            case "cut":
                model.cut()
            case "join" if not model.is_member:
                model.join()
            case "die":
                model.die()

    judgement = model.finish()

    assert judgement.ok, judgement
    assert model.record.contradictions == []
    assert judgement.counts[Verdict.IN_DOUBT] == 0


def drop(frames: list[dict[str, Any]]) -> None:
    del frames[5]


def repeat(frames: list[dict[str, Any]]) -> None:
    frames.insert(6, frames[5])


def swap(frames: list[dict[str, Any]]) -> None:
    frames[5], frames[6] = frames[6], frames[5]


def change(frames: list[dict[str, Any]]) -> None:
    frames[5] = {**frames[5], "data": frames[5]["data"] + "?"}


def invent(frames: list[dict[str, Any]]) -> None:
    frames.append({**frames[5], "pos": "e1:999", "data": "nobody's"})


def forget_the_notice(frames: list[dict[str, Any]]) -> None:
    frames[:] = [frame for frame in frames if frame["type"] != "roomful.gap"]


def shorten_the_notice(frames: list[dict[str, Any]]) -> None:
    for frame in frames:
        if frame["type"] == "roomful.gap":
            frame["ranges"][0][1] -= 1


def tell_too_much(frames: list[dict[str, Any]]) -> None:
    for frame in frames:
        if frame["type"] == "roomful.gap":
            frame["ranges"][0][1] += 1


LIVE = [
    (drop, 1000, Verdict.LOST),
    (repeat, 1000, Verdict.DUPLICATE),
    (swap, 1000, Verdict.REORDERED),
    (change, 1000, Verdict.CORRUPTED),
    (invent, 1000, Verdict.PHANTOM),
]
RESUMED = [
    *LIVE,
    (forget_the_notice, 8, Verdict.LOST),
    (shorten_the_notice, 8, Verdict.LOST),
    (tell_too_much, 8, Verdict.MISTOLD),
]


@pytest.mark.parametrize(
    ("plant", "history", "expected", "resumed"),
    [(*case, False) for case in LIVE] + [(*case, True) for case in RESUMED],
)
def test_planted_fault_is_found(
    plant: Callable[[list[dict[str, Any]]], None], history: int, expected: Verdict, resumed: bool
) -> None:
    """Live and in a replay, what a server must not do is said by name."""
    model = Model(history)
    model.join()
    model.read(1)
    if resumed:
        model.cut()
    for _ in range(20):
        model.push()
    if resumed:
        model.join()
    plant(model.frames)

    judgement = model.finish()

    assert expected in judgement.faults, judgement


def test_notice_without_ranges_reaches_to_the_next_position() -> None:
    """It excuses what lies before the join that follows, and nothing behind it."""
    model = Model(0)
    model.join()
    model.read(1)
    model.cut()
    for _ in range(5):
        model.push()
    model.join()
    model.frames[0]["ranges"] = None
    for _ in range(3):
        model.push()
    del model.frames[3]

    judgement = model.finish()

    assert judgement.counts[Verdict.TOLD] == 5
    assert judgement.faults == {Verdict.LOST: 1}


def test_event_before_the_join_is_a_phantom() -> None:
    """Whoever is not told where it stands cannot resume."""
    model = Model(0)
    model.join()
    del model.frames[0]
    model.push()
    model.read(1)

    assert model.record.outbound.judge().faults == {Verdict.PHANTOM: 1}


def test_reply_that_overtakes_its_event_is_contradicted() -> None:
    """A client that is answered has what its message pushed, where nothing may be skipped."""
    model = Model(0)
    model.join()
    model.read(1)
    model.push()

    model.seats.replied(ROOM, ("e1:1",))

    assert ["overtook" in text for text in model.record.contradictions] == [True]
    model.read(1)
    model.seats.replied(ROOM, ("e1:1",))
    assert len(model.record.contradictions) == 1


def test_two_events_at_one_position_are_contradicted() -> None:
    """All members see the same event at each position."""
    record = Record()

    record.arrived("a", ("r", "e"), 1, "this")
    record.arrived("b", ("r", "e"), 1, "that")

    assert ["not the same event" in text for text in record.contradictions] == [True]


def asked(number: int, *, count: int = 1, has_effect: bool = True) -> Asked:
    return Asked("1", number, "r", f"run.1.{number}", count, 10, has_effect=has_effect)


def arrives(record: Record, offset: int, ask: Asked, index: int = 0, epoch: str = "e") -> None:
    record.outbound.expect("a", ("r", epoch))
    record.arrived("a", ("r", epoch), offset, body(ask.name, index, ask.size))


@pytest.mark.parametrize(
    ("offsets", "expected"),
    [([1, 2, 3], None), ([1, 3, 2], Verdict.REORDERED), ([1, 2, 3, 2], Verdict.DUPLICATE)],
)
def test_effects_are_judged_in_the_client_s_order(offsets: list[int], expected: Verdict | None) -> None:
    """Messages of one client take effect in its order, each once."""
    record = Record()
    asks = {number: asked(number) for number in (1, 2, 3)}
    for ask in asks.values():
        record.asks(ask)
    for offset, number in enumerate(offsets, start=1):
        arrives(record, offset, asks[number])

    _, inbound = record.judge()

    assert set(inbound.faults) == ({expected} if expected else set())


def test_effect_that_must_not_be_is_a_phantom() -> None:
    """A handler that raised before its push has pushed nothing."""
    record, ask = Record(), asked(1, has_effect=False)
    record.asks(ask)
    record.answered(ask, ("internal",))
    arrives(record, 1, ask)

    assert record.judge()[1].faults == {Verdict.PHANTOM: 1}


def test_message_without_answer_and_effect_is_in_doubt() -> None:
    """Nobody knows, and it is no fault."""
    record = Record()
    record.asks(asked(1, count=3))

    _, inbound = record.judge()

    assert inbound.ok
    assert inbound.counts[Verdict.IN_DOUBT] == 3


def test_another_answer_to_the_same_message_is_contradicted() -> None:
    """Whoever sends it again gets the first answer, as long as the room is the same one."""
    record, ask = Record(), asked(1)
    record.asks(ask)
    record.answered(ask, ("e:1",))
    record.answered(ask, ("e:1",))
    record.answered(ask, ("other:1",))
    assert record.contradictions == []

    record.answered(ask, ("e:2",))

    assert len(record.contradictions) == 1


def test_refusal_of_what_should_work_is_contradicted() -> None:
    """A message whose handler does not fail is answered with its positions."""
    record, ask = Record(), asked(1, count=2)
    record.asks(ask)

    record.answered(ask, ("internal",))

    assert len(record.contradictions) == 1
