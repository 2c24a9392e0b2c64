"""From values to places on a chart, and which values to write beside it. Pure arithmetic."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from roomful.probe.page.figures import percent
from roomful.probe.units import format_bytes, format_rate, format_s

__all__ = ("FORMATS", "Scale", "linear", "logarithmic")

FORMATS: Final[dict[str, Callable[[float], str]]] = {
    "s": format_s,
    "bytes": format_bytes,
    "1/s": format_rate,
    "share": percent,
    "": lambda value: f"{value:,.4g}",
}
_STEPS: Final[tuple[float, ...]] = (1.0, 2.0, 5.0, 10.0)
_BINARY_STEPS: Final[tuple[float, ...]] = (1.0, 2.0, 4.0, 8.0, 16.0)


@dataclass(frozen=True, slots=True)
class Scale:
    """A range of values and how they are written.

    Attributes:
        low, high: Its ends.
        ticks: Values to be written, all within.
        log: Whether equal ratios are equally far apart.
        unit: `s`, `bytes`, `1/s`, `share` or nothing.
    """

    low: float
    high: float
    ticks: tuple[float, ...]
    log: bool = False
    unit: str = ""

    def at(self, value: float) -> float:
        """Return where a value lies, from 0 to 1; what lies outside is put at the end."""
        low, high = self.low, self.high
        if self.log:
            value, low, high = math.log(max(value, low)), math.log(low), math.log(high)
        return min(max((value - low) / (high - low), 0.0), 1.0)

    def show(self, value: float) -> str:
        """Write a value."""
        return "0" if value == 0 and self.unit != "s" else FORMATS.get(self.unit, FORMATS[""])(value)

    def show_tick(self, value: float) -> str:
        """Write a value at an axis."""
        return "0" if value == 0 else self.show(value)


def linear(low: float, high: float, unit: str = "", *, ticks: int = 4) -> Scale:
    """Return a scale whose ends are round numbers, from `low` to `high` at least."""
    if not high > low:
        high = low + (abs(low) or 1.0)
    rough = (high - low) / ticks
    if unit == "bytes" and rough >= 1:
        base, steps = 1024.0 ** math.floor(math.log(rough, 1024)), _BINARY_STEPS
        while rough / base > steps[-1]:
            base *= steps[-1]
    else:
        base, steps = 10.0 ** math.floor(math.log10(rough)), _STEPS
    step = base * next((each for each in steps if each * base >= rough * 0.999), steps[-1])
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    places = tuple(round(place * step, 12) for place in range(first, last + 1))
    return Scale(places[0], places[-1], places, unit=unit)


def logarithmic(values: Sequence[float], unit: str = "", *, floor: float) -> Scale:
    """Return a scale in whole decades around all positive values.

    Args:
        values: What is to be shown.
        unit: See `Scale`.
        floor: Where it begins when there is nothing, and the least value that is told apart.
    """
    seen = [max(value, floor) for value in values if value > 0] or [floor, floor * 10]
    first = math.floor(math.log10(min(seen)) + 1e-9)
    last = max(math.ceil(math.log10(max(seen)) - 1e-9), first + 1)
    decades = range(first, last + 1)
    each = max(1, math.ceil(len(decades) / 6))
    return Scale(
        10.0**first,
        10.0**last,
        tuple(10.0**power for power in decades if (power - first) % each == 0),
        log=True,
        unit=unit,
    )
