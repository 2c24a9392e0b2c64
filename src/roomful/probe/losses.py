"""Where in each sender's messages the lost ones stand: what a full queue keeps shows there."""

from __future__ import annotations

from collections.abc import Sequence

from roomful.core.ledger import Example
from roomful.probe.results import Missing
from roomful.probe.sender import Sender

__all__ = ("MAX_RUNS", "missing_of")

MAX_RUNS = 20_000
"""Runs of lost messages that are looked at."""
_MAX_MISSING = 64


def missing_of(senders: Sequence[Sender], runs: Sequence[Example]) -> tuple[Missing, ...]:
    """Say where in each sender's messages the lost ones stand."""
    if len(runs) >= MAX_RUNS:
        # The end is not known then, and where the lost stand would be a guess.
        return ()
    found: dict[tuple[int, int], list[Example]] = {}
    for run in runs:
        if isinstance(run.receiver, int) and isinstance(run.stream, int):
            found.setdefault((run.receiver, run.stream), []).append(run)
    return tuple(
        Missing(
            receiver,
            sender,
            sent=senders[sender].next,
            lost=sum(run.last - run.first + 1 for run in pair),
            first=min(run.first for run in pair),
            last=max(run.last for run in pair),
            longest=max(run.last - run.first + 1 for run in pair),
        )
        for (receiver, sender), pair in list(found.items())[:_MAX_MISSING]
    )
