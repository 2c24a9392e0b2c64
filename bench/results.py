"""The results: samples, their medians and ratios, and their JSON. Pure.

A ratio is made round by round, of two rows in the same round, and its median is taken; so what slowed the machine for a
while stands in both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median

from bench.run import CaseResult
from bench.sample import Sample

__all__ = ("FORMAT", "Spread", "case_from_json", "case_to_json", "ratio", "spread")

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of some rounds, with the least and the most."""

    median: float
    least: float
    most: float
    count: int


def spread(samples: Sequence[Sample], figure: str) -> Spread | None:
    """Return the spread of a figure over the rounds that count, or None when there is none."""
    values = [s.figures[figure] for s in samples if s.is_valid and figure in s.figures]
    return Spread(median(values), min(values), max(values), len(values)) if values else None


def ratio(samples: Sequence[Sample], bases: Sequence[Sample], figure: str) -> Spread | None:
    """Return the spread of the ratios between two rows, round by round."""
    values = [
        sample.figures[figure] / base.figures[figure]
        for sample, base in zip(samples, bases, strict=False)
        if sample.is_valid and base.is_valid and figure in sample.figures and base.figures.get(figure)
    ]
    return Spread(median(values), min(values), max(values), len(values)) if values else None


def case_to_json(result: CaseResult) -> dict[str, object]:
    """Return a case's result as JSON knows it."""
    return asdict(result)


def case_from_json(data: Mapping[str, object]) -> CaseResult:
    """Return the result that `case_to_json` wrote."""
    samples = data["samples"]
    assert isinstance(samples, Mapping)
    fields = {**data, "samples": {row: [Sample(**one) for one in many] for row, many in samples.items()}}
    return CaseResult(**fields)  # type: ignore[arg-type] # as written by `asdict`
