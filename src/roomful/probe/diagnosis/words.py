"""Values in words: each with its unit, rounded to what a reader needs."""

from __future__ import annotations

from roomful.probe.units import format_s

__all__ = ("in_words",)


def in_words(value: object, unit: str) -> str:
    """Return a value with its unit."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, (int, float)):
        return "unknown" if value is None else str(value) or "none"
    if unit == "s":
        return format_s(float(value))
    if unit == "share":
        return f"{value:.0%}" if value >= 0.01 or not value else f"{value:.2%}"
    number = f"{value:,.0f}" if float(value).is_integer() else f"{value:,.3g}"
    if not unit:
        # Codes and ratios: no separators.
        return f"{value:g}" if float(value).is_integer() else number
    if value == 1 and unit in ("messages", "connections"):
        unit = unit[:-1]
    return f"{number} {unit}"
