"""A set of whole numbers, kept as sorted ranges.

It holds windows and gap notices: few ranges that cover many numbers.
It is not for scattered single numbers in random order, where each insertion moves the ranges behind it.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ("END", "Ranges")

END = 2**63 - 1
"""Stands for "and everything after it"; also the largest number that an `array('q')` holds."""


class Ranges:
    """Hold numbers from 0 to `END` as ranges whose both ends are included.

    Neighbouring ranges are merged, so that equal sets have equal ranges.
    Adding at the end costs O(1), adding elsewhere O(number of ranges).
    """

    __slots__ = ("_firsts", "_lasts")

    def __init__(self) -> None:
        # Arrays and not lists of tuples: 16 bytes a range instead of about 130.
        self._firsts: array[int] = array("q")
        self._lasts: array[int] = array("q")

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self._firsts, self._lasts, strict=True)

    def __bool__(self) -> bool:
        return bool(self._firsts)

    def copy(self) -> Ranges:
        """Return an independent copy."""
        copy = Ranges()
        copy._firsts = self._firsts[:]
        copy._lasts = self._lasts[:]
        return copy

    def add(self, first: int, last: int) -> None:
        """Put the numbers from `first` to `last` into the set; an empty range changes nothing."""
        if last < first:
            return
        # Every range that overlaps or touches the new one lies in [low, high).
        low = bisect_left(self._lasts, first - 1)
        high = bisect_right(self._firsts, min(last, END - 1) + 1)
        if low < high:
            first = min(first, self._firsts[low])
            last = max(last, self._lasts[high - 1])
        self._replace(low, high, [(first, last)])

    def discard(self, first: int, last: int) -> None:
        """Take the numbers from `first` to `last` out of the set, if they are in it."""
        if last < first:
            return
        low = bisect_left(self._lasts, first)
        high = bisect_right(self._firsts, last)
        if low >= high:
            return
        rest = [(self._firsts[low], first - 1), (last + 1, self._lasts[high - 1])]
        self._replace(low, high, [(start, stop) for start, stop in rest if start <= stop])

    def within(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Yield the parts of `first` to `last` that are in the set, in order."""
        low = bisect_left(self._lasts, first)
        high = bisect_right(self._firsts, last)
        for index in range(low, high):
            yield max(first, self._firsts[index]), min(last, self._lasts[index])

    def outside(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Yield the parts of `first` to `last` that are not in the set, in order."""
        for start, stop in self.within(first, last):
            if first < start:
                yield first, start - 1
            first = stop + 1
        if first <= last:
            yield first, last

    def _replace(self, low: int, high: int, ranges: list[tuple[int, int]]) -> None:
        self._firsts[low:high] = array("q", [first for first, _ in ranges])
        self._lasts[low:high] = array("q", [last for _, last in ranges])
