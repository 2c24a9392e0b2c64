"""Sizes, times and rates as people write them: `4MB`, `64KiB`, `200ms`, `1.5k`.

Pure functions between text and numbers; nothing here knows what a number is for.
"""

from __future__ import annotations

import re
from typing import Final

from roomful.probe.errors import UsageError

__all__ = ("format_bytes", "format_rate", "format_s", "parse_bytes", "parse_rate", "parse_s")

_NUMBER: Final = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([A-Za-zµ/]*)\s*")
# As in trade and in the SI, kB is 1,000 and KiB is 1,024; a size limit is often the latter, so both can be said.
_BYTES: Final = {"": 1, "b": 1, "kb": 10**3, "k": 10**3, "mb": 10**6, "m": 10**6, "gb": 10**9, "g": 10**9} | {
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
}
_SECONDS: Final = {"": 1.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "m": 60.0, "min": 60.0}
_RATES: Final = {"": 1.0, "/s": 1.0, "k": 1e3, "k/s": 1e3}


def _parse(text: str, units: dict[str, int] | dict[str, float], what: str, example: str) -> float:
    found = _NUMBER.fullmatch(text)
    if not found or (unit := found[2].lower()) not in units:
        raise UsageError(f"{what} is {text!r}; expected a number with a unit, such as {example}")
    return float(found[1]) * units[unit]


def parse_bytes(text: str) -> int:
    """Return a number of bytes: `128`, `64KiB`, `4MB`."""
    return round(_parse(text, _BYTES, "size", "128, 64KiB or 4MB"))


def parse_s(text: str) -> float:
    """Return a time in seconds: `10`, `10s`, `200ms`, `2min`."""
    return _parse(text, _SECONDS, "time", "10s, 200ms or 2min")


def parse_rate(text: str) -> float:
    """Return messages per second: `50`, `50/s`, `1.5k`."""
    return _parse(text, _RATES, "rate", "50 or 1.5k")


def format_bytes(size: float) -> str:
    """Return a size for people; exact when it is a round number of its unit, else with three digits."""
    for unit, name in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if size >= unit:
            value = size / unit
            return f"{value:.0f} {name}" if value == int(value) else f"{value:.3g} {name}"
    return f"{size:.0f} B"


def format_s(seconds: float) -> str:
    """Return a time for people, with three digits."""
    if seconds < 1e-3:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 1:
        return f"{seconds * 1e3:.3g} ms"
    return f"{seconds:.3g} s"


def format_rate(rate: float) -> str:
    """Return a rate for people, with three digits."""
    return f"{rate:,.0f}/s" if rate >= 100 else f"{rate:.3g}/s"
