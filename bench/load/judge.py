"""The judge of a round: what was pushed against what every member got, by the library's ledger. Pure.

Members whose bytes equal the stream's are judged with it, all at once; the others one by one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.load.stream import Follower, Stream
from roomful.core.ledger import FAULTS, Ledger, find_marks

__all__ = ("judge",)

_STREAM_ITSELF = -1


def judge(
    pushed: Mapping[str, Sequence[int]], stream: Stream, followers: Sequence[Follower]
) -> dict[str, int]:
    """Return how often each kind of fault occurred, over all members; an empty dict when there was none.

    Args:
        pushed: The digest of each message that was sent, by sender, in the order of their sequences from 1.
        stream: What the first members got.
        followers: Every member that was to get all of it.
    """
    ledger = Ledger()
    for sender, digests in pushed.items():
        for seq, digest in enumerate(digests, 1):
            ledger.pushed(sender, seq, digest)
    others = [follower for follower in followers if not follower.is_level]
    weights = {_STREAM_ITSELF: len(followers) - len(others)}
    foreign = weights[_STREAM_ITSELF] * _record(ledger, _STREAM_ITSELF, pushed, stream.payloads())
    for number, follower in enumerate(others):
        weights[number] = 1
        foreign += _record(ledger, number, pushed, follower.payloads())
    faults = {"foreign": foreign} if foreign else {}
    judged = ledger.judge().receivers
    for receiver, weight in weights.items():
        for verdict, count in judged.get(receiver, {}).items():
            if verdict in FAULTS and count and weight:
                faults[verdict.value] = faults.get(verdict.value, 0) + weight * count
    return faults


def _record(
    ledger: Ledger, receiver: int, pushed: Mapping[str, Sequence[int]], payloads: Sequence[bytes]
) -> int:
    """Tell the ledger what one receiver got; return how many of its frames were of no sender of this round."""
    foreign = 0
    for sender in pushed:
        ledger.expect(receiver, sender)
    for payload in payloads:
        marks = find_marks(payload)
        if len(marks) != 1 or marks[0].stream not in pushed:
            foreign += 1
        else:
            ledger.arrived(receiver, marks[0].stream, marks[0].seq, marks[0].digest)
    return foreign
