"""The searches, against servers that are a few lines of arithmetic."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomful.probe.results import Outcome
from roomful.probe.search import CliffSearch, RateSearch
from roomful.probe.searches import SIZE_HINTS


@given(st.integers(1, 10**7), st.integers(1, 2000), st.integers(2, 8), st.booleans())
def test_cliff_is_found_to_one(limit: int, start: int, factor: int, hinted: bool) -> None:
    """Whatever the border, in few trials."""
    search = CliffSearch(start, ceiling=1 << 25, factor=factor, hints=SIZE_HINTS if hinted else ())
    while (value := search.next) is not None:
        search.tell(Outcome.GOOD if value <= limit else Outcome.BAD)
    assert search.trials < 90
    if limit < start:
        assert (search.good, search.bad) == (None, start)
    else:
        assert (search.good, search.bad, search.exact) == (limit, limit + 1, True)


@given(st.integers(1, 10**6), st.data())
def test_cliff_survives_single_hiccups(limit: int, data: st.DataObject) -> None:
    """One wrong outcome at the border is outvoted; a trial that says nothing is tried again."""
    search = CliffSearch(1, ceiling=1 << 20)
    wrong = data.draw(st.integers(0, 30))
    while (value := search.next) is not None:
        if search.trials == wrong and search.invalid == 0:
            search.tell(Outcome.INVALID)
            continue
        search.tell(Outcome.GOOD if value <= limit else Outcome.BAD)
    assert search.good == min(limit, 1 << 20)


def test_cliff_without_a_border_ends_at_its_ceiling() -> None:
    """`at least` is all that can be said."""
    search = CliffSearch(1, ceiling=100)
    while search.next is not None:
        search.tell(Outcome.GOOD)
    assert (search.good, search.bad, search.exact) == (100, None, False)


def test_cliff_gives_up_when_nothing_can_be_said() -> None:
    """Three trials in a row that say nothing."""
    search = CliffSearch(1, ceiling=100)
    for _ in range(3):
        search.tell(Outcome.INVALID)
    assert (search.next, search.exact) == (None, False)


@given(st.floats(2, 50_000), st.floats(0.05, 20), st.randoms(use_true_random=False), st.booleans())
def test_rate_is_found_within_five_percent(
    capacity: float,
    off: float,
    random: object,
    tells: bool,
) -> None:
    """Wherever the guess lies, and whether or not an overload tells the capacity; noise of 1 % included."""
    jitter = random.uniform  # type: ignore[attr-defined]  # a random.Random
    search = RateSearch(capacity * off, ceiling=1e6, floor=0.5)
    while (rate := search.next) is not None:
        now = capacity * jitter(0.99, 1.01)
        if rate <= now:
            search.tell(Outcome.GOOD)
        else:
            search.tell(Outcome.BAD, served_rate=now if tells else None)
        assert search.trials < 60
    assert search.kind == "found"
    assert search.good is not None
    assert abs(search.good / capacity - 1) <= 0.05


def test_rate_is_found_although_the_machine_has_hiccups() -> None:
    """One trial in five that should be good is bad: the border is still found in nine of ten searches."""
    near = 0
    for seed in range(200):
        random = Random(seed)
        search = RateSearch(600, ceiling=1e6, floor=0.5)
        while (rate := search.next) is not None and search.trials < 60:
            good = rate <= 1000 and random.random() > 0.2
            search.tell(Outcome.GOOD if good else Outcome.BAD, served_rate=min(rate * 0.9, 1000.0))
        near += search.good is not None and abs(search.good / 1000 - 1) <= 0.05
    assert near >= 180


def test_rate_ends_where_the_generator_does() -> None:
    """Then it is *at least*, never *found*."""
    search = RateSearch(100, ceiling=1e6, floor=0.5)
    while (rate := search.next) is not None:
        search.tell(Outcome.GOOD if rate < 1000 else Outcome.INVALID, by_generator=True)
    assert (search.kind, search.limited_by) == ("at_least", "generator")
    assert search.good is not None
    assert 500 < search.good < 1000


@pytest.mark.parametrize("known", ["gb", "b", "gbbg", ""])
def test_a_generator_that_is_late_where_nothing_else_can_be_tried_ends_the_search(known: str) -> None:
    """Between good and bad, below all that is bad, and where nothing is known."""
    search = RateSearch(100, ceiling=1e6, floor=0.5)
    for each in known:
        search.tell(Outcome.GOOD if each == "g" else Outcome.BAD)
    while search.next is not None:
        search.tell(Outcome.INVALID, by_generator=True)
        assert search.trials < 40
    assert search.limited_by == "generator"


def test_a_rate_in_dispute_is_not_tried_for_ever() -> None:
    """Two voices stand against each other, and then the generator can no more."""
    search = RateSearch(100, ceiling=1e6, floor=0.5, precision=10.0)
    for outcome in (Outcome.GOOD, Outcome.BAD, Outcome.BAD):
        search.tell(outcome)
    while search.next is not None:
        search.tell(Outcome.INVALID, by_generator=True)
        assert search.trials < 40
    assert search.limited_by == "generator"


def test_rate_says_nothing_when_no_trial_does() -> None:
    """Too many trials that say nothing leave the cell invalid."""
    search = RateSearch(100, ceiling=1e6, floor=0.5)
    while search.next is not None:
        search.tell(Outcome.INVALID)
    assert (search.kind, search.good) == ("invalid", None)


def test_rate_of_a_dead_server_is_none() -> None:
    """Not even the lowest rate is good."""
    search = RateSearch(100, ceiling=1e6, floor=0.5)
    while search.next is not None:
        search.tell(Outcome.BAD)
    assert (search.kind, search.good) == ("none", None)


@pytest.mark.parametrize("known", [0, 1, 6])
def test_a_busy_machine_ends_no_search_as_if_it_had_found_something(known: int) -> None:
    """Whatever is known by then, nobody has confirmed it; and what is so for the machine is not the generator's."""
    search = RateSearch(100, ceiling=1e6, floor=0.5)
    while (rate := search.next) is not None:
        if search.trials < known:
            search.tell(Outcome.GOOD if rate < 300 else Outcome.BAD)
        else:
            search.tell(Outcome.INVALID, by_machine=True)
    assert search.trials == known + 5
    assert (search.kind, search.limited_by) == ({0: "invalid", 1: "at_least", 6: "open"}[known], "machine")


def test_cliff_that_nobody_confirmed_is_not_exact() -> None:
    """Both sides were seen once, and then no trial said anything."""
    search = CliffSearch(1, ceiling=4)
    while (value := search.next) is not None:
        known = (search.good, search.bad) == (2, 3)
        search.tell(Outcome.INVALID if known else Outcome.GOOD if value <= 2 else Outcome.BAD)
    assert (search.good, search.bad, search.exact) == (2, 3, False)
