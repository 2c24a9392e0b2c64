"""The report of a torture: both judgements, and what was done to bring them about.

It decides nothing: the ledgers do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from ...core.ledger import Judgement, Verdict
from .plan import Plan

__all__ = ("Report",)

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Report:
    """What a torture has found. `str()` is what a failing test should print: it tells the seed.

    Attributes:
        plan: What was decided beforehand.
        outbound: What became of events on their way to members.
        inbound: What became of messages on their way to rooms.
        contradictions: What cannot be: two answers to one message, two events at one position, and their like.
        stuck: Clients that did not become whole in the time of the calm.
        closes: How connections ended, by close code.
        breaks: What the proxy did, by kind.
        notices: Gap notices, by reason.
        recoveries: Answers to resumes, by whether everything was recovered.
        lives: How often the server was started.
        seconds: How long it took.
    """

    plan: Plan
    outbound: Judgement
    inbound: Judgement
    contradictions: tuple[str, ...]
    stuck: tuple[int, ...]
    closes: Mapping[int, int]
    breaks: Mapping[str, int]
    notices: Mapping[str, int]
    recoveries: Mapping[bool, int]
    lives: int
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether nothing was lost in silence, repeated, reordered, made up or contradicted, and all became whole."""
        return self.outbound.ok and self.inbound.ok and not self.contradictions and not self.stuck

    @property
    def delivered(self) -> int:
        """Events that arrived in order and once, over all members."""
        return self.outbound.counts[Verdict.DELIVERED]

    def assert_clean(self, *, at_least: int = 1) -> None:
        """Raise unless everything was in order, once, or told.

        Args:
            at_least: How many events must have been delivered, so that a test fails if nothing happened.

        Raises:
            AssertionError: Something was not, or too little was delivered; the text says how to repeat it.
        """
        if not self.ok:
            raise AssertionError(f"the nemesis found a fault\n{self}")
        if self.delivered < at_least:
            raise AssertionError(f"the nemesis wanted at least {at_least} delivered\n{self}")

    def __str__(self) -> str:
        lines = [
            f"repeat with {self.plan!r}",
            f"outbound: {self.outbound}",
            f"inbound: {self.inbound}",
            f"connections ended with {_counts(self.closes)}; on the way: {_counts(self.breaks)}",
            f"resumes recovered: {_counts(self.recoveries)}; notices: {_counts(self.notices)}",
            f"{self.lives} lives of the server, {self.seconds:.1f} s",
        ]
        if self.stuck:
            lines.append(f"! never whole again: clients {', '.join(map(str, self.stuck))}")
        lines += [f"! {text}" for text in self.contradictions]
        return "\n".join(lines)


def _counts(counts: Mapping[K, int]) -> str:
    return ", ".join(f"{key} {count}" for key, count in sorted(counts.items(), key=str)) or "nothing"
