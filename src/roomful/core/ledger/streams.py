"""One stream as it was pushed: a digest, and if wanted a due time, for each sequence.

It knows nothing of receivers except who waits for a push to be recorded.
Eight bytes a message (sixteen with due times) in pages of arrays, so that ten million messages fit into
160 MB and sequences may have holes, begin anywhere and be recorded in any order.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Protocol

from .ranges import END, Ranges

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ("MASK", "PAGE", "SHIFT", "ZERO", "Stream", "Waiter", "checked")

SHIFT = 8
PAGE = 1 << SHIFT
"""Messages in a page: small, since a test may have thousands of rooms with a few messages each."""
MASK = PAGE - 1
ZERO = 0x9E37_79B9_7F4A_7C15
"""Stands for the digest 0, as 0 means "not pushed" in a page."""

_NEVER = float("inf")
_DIGEST_RULE = "digest of sequence {} is {}; it must be an unsigned 64-bit number"


def checked(seq: int, digest: int) -> int:
    """Return the digest as the pages hold it.

    Raises:
        ValueError: the sequence or the digest does not fit.
    """
    if not 0 <= seq < END:
        raise ValueError(f"sequence is {seq}; it must be from 0 to 2**63 - 2")
    if not 0 <= digest < 2**64:
        raise ValueError(_DIGEST_RULE.format(seq, digest))
    return digest or ZERO


class Waiter(Protocol):
    """An account, as its stream sees it."""

    def resume(self) -> None:
        """Take note that the push it waited for is on record."""


class Stream:
    """Hold what was pushed in one order: the events of a room, or the messages of a sender."""

    __slots__ = ("cuts", "digests", "doubts", "dues", "not_offered", "top", "waiting")

    def __init__(self) -> None:
        self.digests: dict[int, array[int]] = {}
        self.dues: dict[int, array[float]] = {}
        self.top: int = -1
        """The highest sequence that was pushed."""
        self.waiting: dict[int, list[Waiter]] = {}
        """Accounts whose next arrival has a sequence that no push has recorded yet."""
        self.not_offered: Ranges = Ranges()
        self.doubts: Ranges = Ranges()
        """Pushes of which nobody knows whether they took effect."""
        self.cuts: list[int] = []
        """The value of `top` at each end of the sender's connection."""

    def push(self, seq: int, digest: int, due: float | None) -> None:
        """Record a push and let the arrivals that waited for it be judged.

        Raises:
            ValueError: the sequence or digest does not fit, or the sequence was pushed with another digest.
        """
        if not digest:
            digest = ZERO
        index = seq & MASK
        try:
            page = self.digests[seq >> SHIFT]
        except KeyError:
            checked(seq, digest)
            page = self.digests[seq >> SHIFT] = array("Q", bytes(8 * PAGE))
        if page[index]:
            if page[index] != digest:
                raise ValueError(f"sequence {seq} was already pushed with another digest")
            return
        try:
            page[index] = digest
        except OverflowError:
            raise ValueError(_DIGEST_RULE.format(seq, digest)) from None
        if seq > self.top:  # noqa: PLR1730 - max() costs 60 ns in a call of 400
            self.top = seq
        if due is not None:
            if seq >> SHIFT not in self.dues:
                self.dues[seq >> SHIFT] = array("d", [_NEVER]) * PAGE
            self.dues[seq >> SHIFT][index] = due
        if self.waiting:
            self._wake(seq)

    def pushed_in(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Yield the runs of pushed sequences from `first` to `last`, which lie in one existing page."""
        page = self.digests[first >> SHIFT]
        if not page[first & MASK : (last & MASK) + 1].count(0):
            yield first, last
            return
        start = None
        for seq in range(first, last + 1):
            if not page[seq & MASK]:
                if start is not None:
                    yield start, seq - 1
                start = None
            elif start is None:
                start = seq
        if start is not None:
            yield start, last

    def count(self) -> int:
        """Return how many messages were pushed."""
        return sum(PAGE - page.count(0) for page in self.digests.values())

    def never_offered(self) -> Ranges:
        """Return what could not be offered and was not pushed later either."""
        rest = self.not_offered.copy()
        for number in self.digests if rest else ():
            base = number << SHIFT
            for first, last in list(rest.within(base, base + MASK)):
                for pushed in self.pushed_in(first, last):
                    rest.discard(*pushed)
        return rest

    def _wake(self, seq: int) -> None:
        for account in self.waiting.pop(seq, ()):
            account.resume()
