"""The ledger: a pure judge of what was pushed against what arrived.

It does no I/O, reads no clock and knows no event loop; whoever pushes and receives tells it, from one thread.
It does not say why something is missing, and keeps neither payloads nor latencies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .accounts import Account
from .judging import judge
from .ranges import END
from .streams import Stream

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from .verdicts import Judgement, Verdict

__all__ = ("Ledger",)


class Ledger:
    """Record pushes, expectations, arrivals and notices, and judge them at any time.

    A *stream* is whatever has one order: an epoch of a room, with its offsets as sequences, or a sender that
    numbers its own messages.
    Any hashable value names a stream or a receiver.
    Sequences may begin anywhere, have holes (a hole is no loss) and be recorded in any order.

    With rooms as streams one check covers "all members see one order": each receiver is judged against the
    offsets, so all that pass saw the same order.
    Where frames carry no offset, take it from the push's receipt by the mark or digest of what came.
    Offsets of two epochs may overlap, so name such streams `(room, epoch)`.

    Arrivals may be recorded before their push (a receipt is often awaited after the delivery).
    Such an arrival waits until the push is recorded or a judgement calls it a phantom, and so do those that
    come behind it in the same stream to the same receiver.
    So order is never judged by a sequence that nobody pushed.

    What a receiver expects is a set of sequences, not a stretch of time:

    - It is owed what lies in an expectation and was pushed; missing then means told or lost.
    - `left` closes its expectation at a known position: all before is owed, all behind is a phantom.
    - `ended` closes it where nobody can know.
      What is missing *below* the last arrival is lost, for that one proves that the connection had passed it.
      What is missing *above* it, of what was pushed by then, is in doubt; what was pushed later is not owed.
      Nothing is in doubt unless `ended` or `doubted` said so.
    - Resuming is `expect(after=<the last one received>)`.
      All that follows is owed again, and what was in doubt becomes delivered, told or lost.
      Notices about it are withdrawn, as the server must tell again.
      Repeats of what came before the resume are duplicates.
      A client that really goes back behind what it has received is a new receiver.

    Memory: 8 bytes a push, 16 with a deadline; 1.7 bytes an arrival, 24 more while it waits for its push;
    0.8 KB for each pair of receiver and stream.
    """

    __slots__ = ("_accounts", "_deadline_s", "_streams")

    def __init__(self, *, deadline_s: float | None = None) -> None:
        """Create an empty ledger.

        Args:
            deadline_s: seconds from a push's intended time within which it must arrive; by default nothing is
                ever late.
        """
        self._deadline_s = deadline_s
        self._streams: dict[Hashable, Stream] = {}
        self._accounts: dict[Hashable, dict[Hashable, Account]] = {}

    def pushed(
        self,
        stream: Hashable,
        seq: int,
        digest: int,
        at: float | None = None,
        deadline_s: float | None = None,
    ) -> None:
        """Record that a message was handed over to be delivered. The same push may be recorded twice.

        Args:
            stream: where it belongs.
            seq: its place in the stream's order, from 0 to 2**63 - 2.
            digest: 64 bits that a corrupted message would not have; see `digest`.
            at: its *intended* time in seconds on the clock that `arrived` uses; without it it is never late.
            deadline_s: another deadline than the ledger's, for this message.

        Raises:
            ValueError: sequence or digest do not fit, or the sequence was pushed with another digest.
        """
        if deadline_s is None:
            deadline_s = self._deadline_s
        due = None if at is None or deadline_s is None else at + deadline_s
        try:
            book = self._streams[stream]
        except KeyError:
            book = self._stream(stream)
        book.push(seq, digest, due)

    def arrived(
        self, receiver: Hashable, stream: Hashable, seq: int, digest: int, at: float | None = None
    ) -> Verdict | None:
        """Record that a message came to a receiver, in the order in which they came.

        Args:
            receiver: to whom it came.
            stream: the stream that it names.
            seq: the sequence that it names.
            digest: the digest of what came.
            at: when it came, in seconds; without it it is never late.

        Returns:
            Delivered, late, reordered, corrupted or duplicate, as if the receiver expected it; `None` while
            it waits for a push to be recorded.  Only `judge` knows phantoms.

        Raises:
            ValueError: sequence or digest do not fit.
        """
        try:
            account = self._accounts[receiver][stream]
        except KeyError:
            account = self._account(receiver, stream)
        return account.arrive(seq, digest, at)

    def expect(
        self, receiver: Hashable, stream: Hashable, *, after: int | None = None, until: int | None = None
    ) -> None:
        """Record that a receiver is to get a stream from now on: it joined, or resumes.

        Call it when the receiver asks, before notices that answer it are recorded with `told`.
        Expectations add up; none takes back an earlier one.

        Args:
            receiver: who is to get it.
            stream: what it is to get.
            after: the sequence after which it begins, such as the join's position; by default from the start.
            until: the last sequence that it is to get, if that is known; by default until `left` or `ended`.

        Raises:
            ValueError: a bound does not fit.
        """
        first, last = _bounds(0 if after is None else after + 1, until)
        self._account(receiver, stream).expect(first, last)

    def left(self, receiver: Hashable, stream: Hashable, *, until: int) -> None:
        """Record that a receiver left a stream: it is owed all up to `until`, and nothing behind it.

        Raises:
            ValueError: the receiver expects nothing of that stream that could end.
        """
        account = self._known(receiver).get(stream)
        if account is None or not account.leave(until):
            raise ValueError(f"receiver {receiver!r} has no open expectation of stream {stream!r}")

    def ended(self, receiver: Hashable, stream: Hashable = None) -> None:
        """Record that a receiver's connection ended so that nobody knows what it would still have got.

        Also right for a close with a *come back* code: what the client resumes is owed again by `expect`.
        Where the end is known to be complete, as after a drain, `left` is the stricter choice.
        Streams that have no open expectation are not changed.

        Args:
            receiver: whose connection ended.
            stream: only this stream; by default all that the receiver expects.

        Raises:
            ValueError: the ledger knows no such receiver, or the receiver no such stream.
        """
        accounts = self._known(receiver)
        if stream is not None:
            if stream not in accounts:
                raise ValueError(f"receiver {receiver!r} has no account with stream {stream!r}")
            accounts[stream].end()
            return
        for account in accounts.values():
            account.end()

    def told(self, receiver: Hashable, stream: Hashable, ranges: Iterable[tuple[int, int | None]]) -> None:
        """Record a gap notice: the receiver was told that it will not get these.

        Args:
            receiver: who was told.
            stream: of which stream.
            ranges: first and last sequence of each range, both included.  `None` as last stands for an end
                that nobody knows; such a range excuses what is missing and is not at fault for what came.

        Raises:
            ValueError: a bound does not fit.
        """
        account = self._account(receiver, stream)
        for first, last in ranges:
            account.tell(*_bounds(first, last))

    def excluded(self, receiver: Hashable, stream: Hashable, ranges: Iterable[tuple[int, int]]) -> None:
        """Record that these messages are not meant for the receiver, as by `push(…, exclude=…)`.

        If one comes all the same, it is a phantom.

        Raises:
            ValueError: a bound does not fit.
        """
        account = self._account(receiver, stream)
        for first, last in ranges:
            _bounds(first, last)
            account.exclude(first, last)

    def not_offered(self, stream: Hashable, seq: int) -> None:
        """Record that a message was due and the sender's socket did not take it.

        Each receiver that expects it counts it, also one whose connection has ended meanwhile.
        A later `pushed` takes precedence.

        Raises:
            ValueError: the sequence does not fit.
        """
        _bounds(seq, seq)
        self._stream(stream).not_offered.add(seq, seq)

    def doubted(self, stream: Hashable, ranges: Iterable[tuple[int, int]] | None = None) -> None:
        """Record pushes of which nobody knows whether they took effect.

        Where no receiver has such a message, all that miss it are in doubt.
        Where one has it, it took effect, and the others are owed it.

        Args:
            stream: of which stream.
            ranges: which sequences, for pushes whose answer was an error.  By default the sender's connection
                has ended: then all that was pushed by now and lies above the last of it that anybody gets.

        Raises:
            ValueError: a bound does not fit.
        """
        book = self._stream(stream)
        if ranges is None:
            book.cuts.append(book.top)
            return
        for first, last in ranges:
            _bounds(first, last)
            book.doubts.add(first, last)

    def judge(self, *, max_examples: int = 5) -> Judgement:
        """Judge all that is recorded so far. It changes nothing, so it may be called during a run.

        Args:
            max_examples: how many runs of messages to name for each verdict.
        """
        return judge(self._streams, self._accounts, max_examples)

    def _stream(self, name: Hashable) -> Stream:
        if name not in self._streams:
            self._streams[name] = Stream()
        return self._streams[name]

    def _account(self, receiver: Hashable, stream: Hashable) -> Account:
        accounts = self._accounts.setdefault(receiver, {})
        if stream not in accounts:
            accounts[stream] = Account(self._stream(stream))
        return accounts[stream]

    def _known(self, receiver: Hashable) -> dict[Hashable, Account]:
        if receiver not in self._accounts:
            raise ValueError(f"receiver {receiver!r} is unknown; it neither expected nor got anything")
        return self._accounts[receiver]


def _bounds(first: int, last: int | None) -> tuple[int, int | None]:
    if not 0 <= first < END or not (last is None or -1 <= last < END):
        raise ValueError(f"range is {first} to {last}; sequences must be from 0 to 2**63 - 2")
    return first, last
