"""How the ledger decides: from pushed, expected, got and told to one verdict per message and receiver.

It only reads the accounts; judging twice, or in the middle of a run, changes nothing.
Bytes are counted and searched in C a page at a time, so a healthy page costs a few microseconds.
Python looks at single messages only where something is missing or wrong.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from .accounts import CODES, REPEATED, Account
from .ranges import END, Ranges
from .streams import MASK, PAGE, SHIFT, Stream
from .verdicts import Example, Judgement, Verdict

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Mapping

__all__ = ("judge",)

_BLANK = bytes(PAGE)
_NOTHING = Ranges()
_EVERYTHING = Ranges()
_EVERYTHING.add(0, END)


def _table(marked: Iterable[int]) -> bytes:
    wanted = set(marked)
    return bytes(byte in wanted for byte in range(256))


# `bytes.translate` with one of these turns a page into ones (looked for) and zeros.
_MISSING = _table([0])
_SEEN = _table(range(1, 256))
_AGAIN = _table(range(REPEATED, 256))
_OF_CODE = {verdict: _table([code, code | REPEATED]) for code, verdict in CODES.items()}
_INTACT = _OF_CODE.pop(Verdict.DELIVERED)


class _Tally:
    """Count verdicts for each receiver and keep the first examples of each."""

    __slots__ = ("_counts", "_limit", "_receiver", "_stream", "examples", "receivers")

    def __init__(self, limit: int) -> None:
        self.receivers: dict[Hashable, dict[Verdict, int]] = {}
        self.examples: dict[Verdict, list[Example]] = {verdict: [] for verdict in Verdict}
        self._limit = limit
        self._counts: dict[Verdict, int] = {}
        self._receiver: Hashable = None
        self._stream: Hashable = None

    def turn_to(self, receiver: Hashable, stream: Hashable) -> None:
        if receiver not in self.receivers:
            self.receivers[receiver] = dict.fromkeys(Verdict, 0)
        self._counts = self.receivers[receiver]
        self._receiver = receiver
        self._stream = stream

    def count(self, verdict: Verdict, number: int) -> None:
        self._counts[verdict] += number

    def show(self, verdict: Verdict, first: int, last: int) -> None:
        examples = self.examples[verdict]
        if examples:
            before = examples[-1]
            same = before.receiver == self._receiver and before.stream == self._stream
            if same and before.last + 1 == first:
                examples[-1] = Example(self._receiver, self._stream, before.first, last)
                return
        if len(examples) < self._limit:
            examples.append(Example(self._receiver, self._stream, first, last))

    def add(self, verdict: Verdict, first: int, last: int) -> None:
        self._counts[verdict] += last - first + 1
        self.show(verdict, first, last)


class _Rights:
    """What one account's receiver must get, may have missed, and may get, as ranges of sequences.

    A connection that ended leaves a *zone*, from its first expected sequence on.
    Up to the last arrival in it everything was due, for what came later proves what was written before it.
    Behind that, what was pushed by the end is in doubt, and anything may still have come.
    What was expected again, by resuming, is not the zone's business but the later expectation's.
    """

    __slots__ = ("accepted", "doubtful", "owed")

    def __init__(self, account: Account) -> None:
        self.owed = account.closed.copy() if account.closed else Ranges()
        if account.opened is not None:
            self.owed.add(account.opened, END)
        self.doubtful = Ranges()
        self.accepted = self.owed.copy()
        for start, top in reversed(account.zones or ()):
            zone = list(self.accepted.outside(start, END))
            self.accepted.add(start, END)
            proven = _highest_seen(account, zone)
            for first, last in zone:
                self.owed.add(first, min(last, proven))
                self.doubtful.add(max(first, proven + 1), min(last, top))
        for first, last in account.excluded or ():
            for rights in (self.owed, self.doubtful, self.accepted):
                rights.discard(first, last)


def judge(
    streams: Mapping[Hashable, Stream],
    accounts: Mapping[Hashable, Mapping[Hashable, Account]],
    max_examples: int,
) -> Judgement:
    """Judge every account against its stream."""
    settled: dict[Hashable, list[tuple[Hashable, Account, list[int]]]] = {name: [] for name in streams}
    for receiver, by_stream in accounts.items():
        for name, account in by_stream.items():
            settled[name].append((receiver, *account.settled()))
    tally = _Tally(max_examples)
    for receiver in accounts:
        tally.turn_to(receiver, None)
    for name, stream in streams.items():
        doubts = _doubts(stream, [account for _, account, _ in settled[name]])
        never_offered = stream.never_offered()
        pages = sorted(stream.digests)
        for receiver, account, strays in settled[name]:
            tally.turn_to(receiver, name)
            rights = _Rights(account)
            _judge_arrivals(tally, account, rights.accepted)
            for seq in strays:
                tally.add(Verdict.PHANTOM, seq, seq)
            _judge_missing(tally, account, pages, rights.owed, doubts)
            _judge_missing(tally, account, pages, rights.doubtful, _EVERYTHING)
            if never_offered:
                for first, last in rights.accepted:
                    for missing in never_offered.within(first, last):
                        tally.add(Verdict.NOT_OFFERED, *missing)
    return Judgement(
        pushed=sum(stream.count() for stream in streams.values()),
        counts={verdict: sum(counts[verdict] for counts in tally.receivers.values()) for verdict in Verdict},
        receivers=tally.receivers,
        examples={verdict: tuple(examples) for verdict, examples in tally.examples.items()},
    )


def _judge_arrivals(tally: _Tally, account: Account, accepted: Ranges) -> None:
    for number in sorted(account.seen):
        page = account.seen[number]
        base = number << SHIFT
        for first, last in accepted.within(base, base + MASK):
            _judge_accepted(tally, page, first, last)
        for first, last in accepted.outside(base, base + MASK):
            for run in _runs(page, _SEEN, first, last):
                tally.add(Verdict.PHANTOM, *run)
        for first, last in (account.told_exactly or _NOTHING).within(base, base + MASK):
            for run in _runs(page, _SEEN, first, last):
                tally.add(Verdict.MISTOLD, *run)
        if account.repeats:
            for run in _runs(page, _AGAIN, base, base + MASK):
                tally.show(Verdict.DUPLICATE, *run)
    tally.count(Verdict.DUPLICATE, account.repeats)


def _judge_accepted(tally: _Tally, page: bytearray, first: int, last: int) -> None:
    low, high = first & MASK, (last & MASK) + 1
    intact = page.translate(_INTACT).count(1, low, high)
    tally.count(Verdict.DELIVERED, intact)
    if intact + page.count(0, low, high) < high - low:
        for verdict, table in _OF_CODE.items():
            for run in _runs(page, table, first, last):
                tally.add(verdict, *run)


def _judge_missing(
    tally: _Tally, account: Account, pages: list[int], expected: Ranges, doubts: Ranges
) -> None:
    """Sort what was expected and did not come into told, in doubt and lost."""
    told = account.told or _NOTHING
    for number in pages if expected else ():
        base = number << SHIFT
        page = account.seen.get(number, _BLANK)
        for first, last in expected.within(base, base + MASK):
            if page.find(0, first - base, last - base + 1) < 0:
                continue
            for run in _runs(page, _MISSING, first, last):
                for missing in account.stream.pushed_in(*run):
                    _sort_missing(tally, *missing, told, doubts)


def _sort_missing(tally: _Tally, first: int, last: int, told: Ranges, doubts: Ranges) -> None:
    for part in told.within(first, last):
        tally.add(Verdict.TOLD, *part)
    for silent in told.outside(first, last):
        for part in doubts.within(*silent):
            tally.add(Verdict.IN_DOUBT, *part)
        for part in doubts.outside(*silent):
            tally.add(Verdict.LOST, *part)


def _doubts(stream: Stream, accounts: list[Account]) -> Ranges:
    """Return the pushes that may never have taken effect: doubted ones that no receiver has got."""
    doubts = stream.doubts.copy()
    for account in accounts if doubts else ():
        for number, page in account.seen.items():
            base = number << SHIFT
            for first, last in list(doubts.within(base, base + MASK)):
                for run in _runs(page, _SEEN, first, last):
                    doubts.discard(*run)
    for top in stream.cuts:
        proven = max((_highest_seen(account, [(0, top)]) for account in accounts), default=-1)
        doubts.add(proven + 1, top)
    return doubts


def _highest_seen(account: Account, ranges: list[tuple[int, int]]) -> int:
    """Return the highest sequence in the ranges that has arrived, or -1."""
    numbers = sorted(account.seen)
    for first, last in reversed(ranges):
        for place in range(bisect_right(numbers, last >> SHIFT) - 1, -1, -1):
            base = numbers[place] << SHIFT
            if base + MASK < first:
                break
            low = max(first - base, 0)
            seen = account.seen[numbers[place]][low : last - base + 1].rstrip(b"\0")
            if seen:
                return base + low + len(seen) - 1
    return -1


def _runs(page: bytes | bytearray, table: bytes, first: int, last: int) -> Iterator[tuple[int, int]]:
    """Yield the runs from `first` to `last`, within one page, of messages whose byte the table marks."""
    base = first & ~MASK
    ones = page.translate(table)
    end = last - base + 1
    start = ones.find(1, first - base, end)
    while start >= 0:
        stop = ones.find(0, start, end)
        if stop < 0:
            stop = end
        yield base + start, base + stop - 1
        start = ones.find(1, stop, end)
