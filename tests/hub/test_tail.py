"""The tail: the last events of a room, without holes, and bounded."""

from __future__ import annotations

import pytest

from roomful.core.positions import Position
from roomful.hub import tail
from roomful.hub.tail import Tail


def at(offset: int, epoch: str = "e") -> Position:
    return Position(epoch, offset)


@pytest.fixture
def four() -> Tail:
    four = Tail()
    for offset in range(7, 11):
        four.append(at(offset), b"x")
    return four


@pytest.mark.parametrize(
    ("known", "offsets"),
    [
        (at(6), [7, 8, 9, 10]),
        (at(9), [10]),
        (at(10), []),
        (at(5), []),
        (at(99), []),
        (at(8, "other"), []),
    ],
)
def test_what_followed_a_position_is_all_or_nothing(four: Tail, known: Position, offsets: list[int]) -> None:
    """A position that the tail does not reach, or that another epoch numbered, has nothing that follows."""
    assert [event[0].offset for event in four.after(known)] == offsets


def test_nothing_follows_across_a_gap(four: Tail) -> None:
    """What comes behind it is no continuation of what came before."""
    four.clear()
    assert four.after(at(6)) == []
    four.append(at(20), b"x")
    assert four.after(at(10)) == []
    assert four.after(at(19)) == [(at(20), b"x")]


@pytest.mark.parametrize(("name", "value"), [("_MAX_EVENTS", 2), ("_MAX_BYTES", 2)])
def test_the_oldest_go(four: Tail, monkeypatch: pytest.MonkeyPatch, name: str, value: int) -> None:
    """By number and by bytes."""
    monkeypatch.setattr(tail, name, value)
    four.append(at(11), b"x")
    assert [event[0].offset for event in four.after(at(9))] == [10, 11]
    assert four.after(at(8)) == []
