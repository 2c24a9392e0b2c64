"""Deadlines: each thing is due once, within a second after its time."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from roomful.auth.deadlines import Deadlines

TIMES = st.floats(0, 100)


def test_thing_is_due_once_and_in_time() -> None:
    """Not before its time, and not twice."""
    deadlines: Deadlines[str] = Deadlines()
    deadlines.put("a", 10.2)

    assert (deadlines.next(), deadlines.due(10.1)) == (11, [])
    assert deadlines.due(11.0) == ["a"]
    assert (deadlines.next(), deadlines.due(99.0), len(deadlines)) == (None, [], 0)


def test_thing_that_is_forgotten_leaves_nothing() -> None:
    """Neither itself nor a time to look."""
    deadlines: Deadlines[str] = Deadlines()
    deadlines.put("a", 10.2)
    deadlines.discard("a")
    deadlines.discard("b")

    assert (deadlines.next(), len(deadlines), deadlines._things) == (None, 0, {})


@given(st.lists(st.tuples(st.integers(0, 5), TIMES | st.none()), max_size=30), st.lists(TIMES, max_size=10))
def test_deadlines_are_those_that_were_put_last(
    wishes: list[tuple[int, float | None]], looks: list[float]
) -> None:
    """Against a plain dict."""
    deadlines: Deadlines[int] = Deadlines()
    model: dict[int, float] = {}
    for thing, at in wishes:
        if at is None:
            deadlines.discard(thing)
            model.pop(thing, None)
        else:
            deadlines.put(thing, at)
            model[thing] = at
    for now in sorted(looks):
        expected = {thing for thing, at in model.items() if math.ceil(at) <= now}
        assert set(deadlines.due(now)) == expected
        model = {thing: at for thing, at in model.items() if thing not in expected}
        assert deadlines.next() == (min(map(math.ceil, model.values())) if model else None)
