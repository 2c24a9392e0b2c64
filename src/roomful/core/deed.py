"""A deed: the message that a handler is at work on, as far as what it pushes must know of it.

What a handler pushes because of a message that its client may send again gets a key by default, so that it takes effect
once, whichever process handles the message a second time.
"""

from __future__ import annotations

import itertools
from contextvars import ContextVar
from typing import Final

__all__ = ("CURRENT", "Deed", "default_key")


class Deed:
    """Gives keys to the pushes of one handler, in the order in which they are made.

    Args:
        name: What all its keys begin with.
    """

    __slots__ = ("_is_over", "_name", "_numbers")

    def __init__(self, name: str) -> None:
        self._name = name
        self._numbers = itertools.count(1)
        self._is_over = False

    def end(self) -> None:
        """Know that the handler has returned: what its tasks push from now on is no part of it."""
        self._is_over = True

    def next_key(self) -> str | None:
        """Return the key of the next push, or None after the end. May be called from any thread."""
        return None if self._is_over else f"{self._name}:{next(self._numbers)}"


CURRENT: Final[ContextVar[Deed | None]] = ContextVar("roomful_deed", default=None)
"""What is under way; nothing where nobody may send the message again."""


def default_key() -> str | None:
    """Return the key of a push whose caller gives none."""
    deed = CURRENT.get()
    return None if deed is None else deed.next_key()
