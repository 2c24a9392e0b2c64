"""How facts are read out of JSON whose parts may be missing: what is not there, or no number, is `None`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median, quantiles

__all__ = ("Found", "Json", "flag", "items", "middle", "number", "part", "quarter", "spread")

Json = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Found:
    """A value by the name of its fact; `None` when it is not known."""

    name: str
    value: float | int | str | bool | None
    at_s: float | None = None
    trial: int | None = None


def part(value: Json, *names: str) -> Json:
    """Return an object inside, empty when there is none."""
    for name in names:
        inner = value.get(name)
        if not isinstance(inner, Mapping):
            return {}
        value = inner
    return value


def items(value: Json, name: str) -> list[Json]:
    """Return the objects of an array inside."""
    inner = value.get(name)
    return [each for each in inner if isinstance(each, Mapping)] if isinstance(inner, (list, tuple)) else []


def number(value: Json, name: str) -> float | None:
    """Return a number inside."""
    inner = value.get(name)
    return float(inner) if isinstance(inner, (int, float)) and not isinstance(inner, bool) else None


def flag(value: Json, name: str) -> bool:
    """Whether something inside is true."""
    return value.get(name) is True


def middle(values: Iterable[float | None]) -> float | None:
    """Return the median of those that are known."""
    known = [value for value in values if value is not None]
    return median(known) if known else None


def quarter(values: Iterable[float | None]) -> float | None:
    """Return the lower quartile of those that are known."""
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return known[0] if known else None
    return quantiles(known, n=4, method="inclusive")[0]


def spread(values: list[float]) -> float:
    """Return how far apart the values are: of four and more the middle half, as one may be off for any reason."""
    if len(values) < 4:
        return max(values) - min(values)
    first, _, third = quantiles(values, n=4, method="inclusive")
    return third - first
