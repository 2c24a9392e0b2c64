"""A sample: what one round of one case on one server gave. Values only."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ("Sample",)


@dataclass(slots=True)
class Sample:
    """One round.

    Attributes:
        figures: What was measured, by name; times in seconds, memory in bytes.
        faults: What the ledger found wrong, by kind; or why the round does not count.
        remarks: What a reader must know beside the figures.
    """

    figures: dict[str, float] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    @property
    def is_valid(self) -> bool:
        """Whether its figures count."""
        return not self.faults
