"""A letter: one message on its way into mailboxes, shared by all that get it until each makes a copy of its own.

It is taken as it stands when it is sent: what the sender or a receiver changes later, nobody else sees.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final, TypeAlias

__all__ = ("Letter", "Message")

Message: TypeAlias = dict[str, Any]
"""What travels over a channel; Channels leaves its values to the application."""

_ATOMS: Final = frozenset((str, bytes, int, float, bool, type(None)))
_SMALL: Final = 8
"""What a number counts for."""


class Letter:
    """A message that waits.

    Args:
        message: What is sent.
        deadline: When it expires.
        is_owned: Whether nobody else has the message, so that it need not be copied.

    Attributes:
        deadline: When it expires.
        size: About how large it is: the lengths of its texts and bytes, and a little for all else.
        open: Returns the message, a copy for each that asks.
    """

    __slots__ = ("deadline", "open", "size")

    def __init__(self, message: Message, deadline: float, *, is_owned: bool = False) -> None:
        self.deadline: float = deadline
        self.size: int = _size_of(message.values())
        self.open: Callable[[], Message]
        if all(type(value) in _ATOMS for value in message.values()):
            self.open = (message if is_owned else message.copy()).copy
        else:
            self.open = partial(copy.deepcopy, message if is_owned else copy.deepcopy(message))


def _size_of(values: Iterable[object]) -> int:
    size = 0
    for value in values:
        if isinstance(value, str | bytes | bytearray):
            size += len(value)
        elif isinstance(value, Mapping):
            size += _size_of(value.values())
        elif isinstance(value, list | tuple | set | frozenset):
            size += _size_of(value)
        else:
            size += _SMALL
    return size
