"""Ranges behave as the set of the numbers that they cover."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomful.core.ledger.ranges import END, Ranges

SMALL = st.integers(0, 40)
CHANGES = st.lists(st.tuples(st.sampled_from(["add", "discard"]), SMALL, SMALL), max_size=30)


def ranges_of(*pairs: tuple[int, int]) -> Ranges:
    ranges = Ranges()
    for first, last in pairs:
        ranges.add(first, last)
    return ranges


def numbers(pairs: object) -> list[int]:
    return [number for first, last in pairs for number in range(first, last + 1)]  # type: ignore[attr-defined] # any iterable of pairs


@given(CHANGES, SMALL, SMALL)
def test_ranges_equal_a_set_of_numbers(changes: list[tuple[str, int, int]], first: int, last: int) -> None:
    """After any adding and discarding they hold what a set would, in order and in as few ranges as possible."""
    ranges, model = Ranges(), set[int]()
    for change, start, stop in changes:
        if change == "add":
            ranges.add(start, stop)
            model |= set(range(start, stop + 1))
        else:
            ranges.discard(start, stop)
            model -= set(range(start, stop + 1))
    assert numbers(ranges) == sorted(model)
    assert all(
        before[1] + 1 < after[0] for before, after in zip(list(ranges), list(ranges)[1:], strict=False)
    )
    assert numbers(ranges.within(first, last)) == [n for n in range(first, last + 1) if n in model]
    assert numbers(ranges.outside(first, last)) == [n for n in range(first, last + 1) if n not in model]
    assert bool(ranges) == bool(model)


@pytest.mark.parametrize(
    ("added", "merged"),
    [
        (((1, 2), (3, 4)), [(1, 4)]),
        (((3, 4), (1, 2)), [(1, 4)]),
        (((1, 2), (4, 5), (3, 3)), [(1, 5)]),
        (((1, 9), (4, 5)), [(1, 9)]),
        (((5, 4),), []),
        (((7, END), (3, 6)), [(3, END)]),
        (((3, 6), (7, END), (9, END)), [(3, END)]),
    ],
)
def test_ranges_merge_neighbours(added: tuple[tuple[int, int], ...], merged: list[tuple[int, int]]) -> None:
    assert merged == list(ranges_of(*added))


def test_ranges_discard_from_an_open_end_splits_it() -> None:
    ranges = ranges_of((3, END))
    ranges.discard(5, 6)
    assert list(ranges) == [(3, 4), (7, END)]
    ranges.discard(7, END)
    assert list(ranges) == [(3, 4)]


def test_ranges_copy_is_independent() -> None:
    ranges = ranges_of((1, 2))
    ranges.copy().add(5, 6)
    assert list(ranges) == [(1, 2)]
