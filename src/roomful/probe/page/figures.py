"""Numbers as the page writes them: with their unit, and with as many digits as they deserve."""

from __future__ import annotations

from typing import Final

from roomful.probe.page.reading import number
from roomful.probe.units import format_bytes, format_rate, format_s

__all__ = ("count", "count_of", "percent", "ratio", "value_of")

_CODES: Final = 10_000
_ROUND: Final = 1_000
"""From here on fractions say nothing."""


def count(value: float | None) -> str:
    """Return a number of things."""
    return "–" if value is None else f"{value:,.0f}"


def count_of(value: float, one: str, many: str | None = None) -> str:
    """Return a number of things with their name."""
    return f"{value:,.0f} {one if value == 1 else many or one + 's'}"


def percent(share: float | None) -> str:
    """Return a share; what is little but not nothing never reads as 0 %, nor what is nearly all as 100 %."""
    if share is None:
        return "–"
    value = share * 100
    if 0 < value < 0.01:
        shown = "< 0.01"
    elif 99.99 < value < 100:
        shown = "> 99.99"
    else:
        shown = f"{value:.3g}" if value < 99 else f"{value:.4g}"
    return f"{shown}\N{NO-BREAK SPACE}%"


def ratio(value: float) -> str:
    """Return how many times."""
    return f"× {value:.2f}" if value < 10 else f"× {value:.3g}"


def value_of(value: object, unit: str) -> str:
    """Return a value of the JSON with its unit: `s`, `bytes`, `share`, `1/s`, or a word."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    known = number(value)
    if known is None:
        return "unknown"
    formats = {"s": format_s, "bytes": format_bytes, "share": percent, "1/s": format_rate}
    if unit in formats:
        sign = "-" if known < 0 else ""
        return sign + formats[unit](abs(known))
    if not unit and known.is_integer() and abs(known) < _CODES:
        # A close code and the like: a number that is no amount.
        return f"{known:.0f}"
    shown = f"{known:,.0f}" if known.is_integer() or abs(known) >= _ROUND else f"{known:,.3g}"
    return f"{shown} {unit}".rstrip()
