"""A user, known by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ..errors import InvalidValue

__all__ = ("MAX_NAME", "User")

MAX_NAME: Final = 24


@dataclass(frozen=True, slots=True)
class User:
    """Somebody with a name of 1 to 24 printable characters."""

    name: str

    def __post_init__(self) -> None:
        if (
            not 1 <= len(self.name) <= MAX_NAME
            or not self.name.isprintable()
            or self.name != self.name.strip()
        ):
            raise InvalidValue(f"a name has 1 to {MAX_NAME} printable characters, and no space around them")
