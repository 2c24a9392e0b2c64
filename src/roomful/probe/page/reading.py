"""Read a result's JSON without trusting it: what is missing, or of another type than expected, is `None` or empty.

A result may be partial, older, or written by somebody else; a page that shows less is better than one that fails.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

__all__ = ("Node", "number")


class Node:
    """One object of the JSON.

    Args:
        value: What stands there; anything but an object reads as an empty one.
    """

    __slots__ = ("_fields",)

    def __init__(self, value: object) -> None:
        self._fields: Mapping[str, object] = value if isinstance(value, Mapping) else {}

    def __bool__(self) -> bool:
        return bool(self._fields)

    def __contains__(self, name: str) -> bool:
        return self._fields.get(name) is not None

    def get(self, name: str) -> object:
        """Return the value as it is."""
        return self._fields.get(name)

    def text(self, name: str, default: str = "") -> str:
        """Return a text."""
        value = self._fields.get(name)
        return value if isinstance(value, str) else default

    def number(self, name: str) -> float | None:
        """Return a number; a boolean is none."""
        return number(self._fields.get(name))

    def whole(self, name: str) -> int:
        """Return a number of things, 0 where there is none."""
        value = self.number(name)
        return 0 if value is None else int(value)

    def flag(self, name: str) -> bool | None:
        """Return a boolean."""
        value = self._fields.get(name)
        return value if isinstance(value, bool) else None

    def node(self, name: str) -> Node:
        """Return an object."""
        return Node(self._fields.get(name))

    def nodes(self, name: str) -> list[Node]:
        """Return a list of objects, what is none left out."""
        return [Node(each) for each in self.items(name) if isinstance(each, Mapping)]

    def items(self, name: str) -> list[object]:
        """Return a list."""
        value = self._fields.get(name)
        return list(value) if isinstance(value, (list, tuple)) else []

    def texts(self, name: str) -> list[str]:
        """Return a list of texts, what is none left out."""
        return [each for each in self.items(name) if isinstance(each, str)]

    def numbers(self, name: str) -> list[float]:
        """Return a list of numbers, what is none left out."""
        return [found for each in self.items(name) if (found := number(each)) is not None]

    def pairs(self) -> Iterator[tuple[str, object]]:
        """Return names and values."""
        return iter(self._fields.items())


def number(value: object) -> float | None:
    """Return a finite number, or `None`."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None
