"""Thresholds of the command line: `--fail-if 'loss>0'`, `--fail-if 'p99>200ms'`.

Pure: a text and the measures of a run in, breached or not out. What was not measured breaches nothing and passes
nothing: it is undecided.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from roomful.probe.errors import UsageError
from roomful.probe.units import parse_bytes, parse_rate, parse_s

__all__ = ("MEASURES", "Threshold", "parse_threshold")

_FORM: Final = re.compile(r"\s*([a-z0-9_ ]+?)\s*(>=|<=|>|<|==)\s*(.+?)\s*")
_TIMES: Final = ("p50", "p90", "p99", "p999", "max", "mean")
_COUNTS: Final = (
    "loss",
    "late",
    "told",
    "duplicate",
    "reordered",
    "corrupted",
    "phantom",
    "in_doubt",
    "not_offered",
    "closes",
)
MEASURES: Final = (*_TIMES, *_COUNTS, "bad", "rate", "size", "burst")
"""What may stand left of the sign: latencies, counts, `bad` (a share, or a percentage), and what a search finds."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """A measure, a sign, and the value at which it is breached."""

    text: str
    measure: str
    sign: str
    limit: float

    def breached(self, measures: Mapping[str, float | None]) -> bool | None:
        """Whether it is breached; `None` when it was not measured.

        A search that ended at a bound of its own knows only *at least*: `rate_at_least` and the like stand in
        `measures` beside the value, and then a value below the limit decides nothing.
        """
        value = measures.get(self.measure)
        if value is None:
            return None
        breached = {
            ">": value > self.limit,
            ">=": value >= self.limit,
            "<": value < self.limit,
            "<=": value <= self.limit,
            "==": value == self.limit,
        }[self.sign]
        if measures.get(f"{self.measure}_at_least") and (breached == self.sign.startswith("<")):
            return None
        return breached


def parse_threshold(text: str) -> Threshold:
    """Read a threshold.

    Raises:
        UsageError: it is none.
    """
    found = _FORM.fullmatch(text)
    measure = found[1].replace(" ", "_") if found else ""
    if found is None or measure not in MEASURES:
        raise UsageError(
            f"threshold is {text!r}; expected MEASURE SIGN VALUE with one of {', '.join(MEASURES)}"
        )
    value = found[3]
    if measure in _TIMES:
        limit = parse_s(value)
    elif measure == "size":
        limit = parse_bytes(value)
    elif measure == "bad" and value.endswith("%"):
        limit = parse_rate(value[:-1]) / 100
    else:
        limit = parse_rate(value)
    return Threshold(text.strip(), measure, found[2], float(limit))
