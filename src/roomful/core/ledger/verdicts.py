"""What the ledger concludes: a verdict per message and receiver, and the judgement that sums them up.

Values only; how a verdict is reached stands in `judging`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Mapping

__all__ = ("FATES", "FAULTS", "Example", "Judgement", "Verdict")


class Verdict(Enum):
    """What became of a message, seen by one receiver.

    Each message that a receiver was to get has exactly one *fate* (`FATES`).
    Each arrival beyond that is surplus: a duplicate or a phantom.
    So the fates add up to what was owed, and delivered, late, reordered, corrupted, duplicate and phantom
    add up to what arrived.
    """

    DELIVERED = "delivered"
    """It came intact, in order and in time."""
    LATE = "late"
    """It came intact and in order, after its deadline."""
    REORDERED = "reordered"
    """It came for the first time after a message of the same stream with a higher sequence.

    The overtaken message is counted, not the one that overtook it.
    """
    CORRUPTED = "corrupted"
    """It came with another digest than it was pushed with."""
    TOLD = "told"
    """It did not come, and a gap notice had said so."""
    LOST = "lost"
    """It did not come, and nobody said so."""
    IN_DOUBT = "in doubt"
    """It did not come, and stood at the end of a connection that closed: nobody can know."""
    NOT_OFFERED = "not offered"
    """The sender's schedule wanted it sent, and the socket did not take it."""
    DUPLICATE = "duplicate"
    """It had come before."""
    PHANTOM = "phantom"
    """It came, but was never pushed, or this receiver never expected it."""
    MISTOLD = "mistold"
    """It came, although a gap notice gave it up: the notice was not exact. Counted beside its fate."""


FATES: frozenset[Verdict] = frozenset(Verdict) - {Verdict.DUPLICATE, Verdict.PHANTOM, Verdict.MISTOLD}
"""The verdicts of which every owed message has exactly one."""

FAULTS: frozenset[Verdict] = frozenset(Verdict) - {Verdict.DELIVERED, Verdict.TOLD, Verdict.IN_DOUBT}
"""The verdicts that break the promise "in order, once, or told"."""


@dataclass(frozen=True, slots=True)
class Example:
    """A run of neighbouring messages of one stream that one receiver's account judges alike."""

    receiver: Hashable
    stream: Hashable
    first: int
    last: int

    def __str__(self) -> str:
        span = f"{self.first}" if self.first == self.last else f"{self.first}-{self.last}"
        return f"{self.receiver} in {self.stream}: {span}"


@dataclass(frozen=True, slots=True)
class Judgement:
    """Sum up the ledger at one moment. `str()` is what a failing test should print.

    Attributes:
        pushed: messages that were pushed, each counted once however many receivers it has.
        counts: how often each verdict was reached, over all receivers; every verdict is a key.
        receivers: the same for each receiver that expected or got anything.
        examples: the first few runs of messages for each verdict other than delivered.
    """

    pushed: int
    counts: Mapping[Verdict, int]
    receivers: Mapping[Hashable, Mapping[Verdict, int]]
    examples: Mapping[Verdict, tuple[Example, ...]]

    @property
    def owed(self) -> int:
        """How many messages receivers were to get, counted per receiver: the sum of all fates."""
        return sum(self.counts[verdict] for verdict in FATES)

    @property
    def faults(self) -> Mapping[Verdict, int]:
        """The counts that are faults and not zero."""
        return {verdict: count for verdict, count in self.counts.items() if count and verdict in FAULTS}

    @property
    def ok(self) -> bool:
        """Whether no message met a fault: each came in order, once and in time, or was told, or is in doubt.

        It is also true when nothing was owed; `assert_clean` is not so easily content.
        """
        return not self.faults

    @property
    def bad_fraction(self) -> float:
        """The share of what was owed that was lost, late or could not be offered; 0 if nothing was owed."""
        bad = (Verdict.LOST, Verdict.LATE, Verdict.NOT_OFFERED)
        return sum(self.counts[verdict] for verdict in bad) / max(self.owed, 1)

    def assert_clean(
        self, *, allow: Collection[Verdict] = (Verdict.TOLD, Verdict.IN_DOUBT), at_least: int = 1
    ) -> None:
        """Raise unless every verdict is *delivered* or one that the test allows.

        Args:
            allow: verdicts that may occur besides *delivered*; `()` wants everything delivered.
            at_least: how many messages must have been delivered, so that a test fails if nothing happened.

        Raises:
            AssertionError: another verdict was reached, or too few messages were delivered.
        """
        accepted = {Verdict.DELIVERED, *allow}
        wrong = [verdict.value for verdict, count in self.counts.items() if count and verdict not in accepted]
        if wrong:
            raise AssertionError(f"the ledger found {', '.join(wrong)}\n{self}")
        if self.counts[Verdict.DELIVERED] < at_least:
            raise AssertionError(f"the ledger wanted at least {at_least} delivered\n{self}")

    def __str__(self) -> str:
        lines = [f"{self.pushed} pushed, {self.owed} owed to {len(self.receivers)} receivers"]
        for verdict, count in self.counts.items():
            if not count:
                continue
            sign = "!" if verdict in FAULTS else " "
            lines.append(f"{sign} {verdict.value:<11} {count}{self._shown(verdict, count)}")
        return "\n".join(lines)

    def _shown(self, verdict: Verdict, count: int) -> str:
        examples = self.examples[verdict]
        if not examples:
            return ""
        shown = sum(example.last - example.first + 1 for example in examples)
        more = "; …" if shown < count else ""
        return f"  ({'; '.join(map(str, examples))}{more})"
