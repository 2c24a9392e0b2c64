"""A letter: one message on its way into mailboxes, shared by all that get it until each makes a copy of its own.

It is taken as it stands when it is sent: what the sender or a receiver changes later, nobody else sees.
"""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, TypeAlias

from ..hub.throttle import Throttle

__all__ = (
    "MAX_DEPTH",
    "Letter",
    "Message",
    "NotAMessage",
    "check_message",
    "size_of",
    "unreadable_is_logged",
)

logger: Final = logging.getLogger("roomful.django")
_unreadable: Final = Throttle()

Message: TypeAlias = dict[str, Any]
"""What travels over a channel; Channels leaves its values to the application."""

MAX_DEPTH: Final = 100
"""How deep a message may be nested, itself included. A copy takes two calls for each level, of the thousand that
Python allows and its receiver needs some of."""

_ATOMS: Final = frozenset((str, bytes, int, float, bool, type(None)))
_SMALL: Final = 8
"""What a number counts for."""
_RESERVED: Final = "__asgi_channel__"


class NotAMessage(TypeError, AssertionError):
    """What was sent is no message. An `AssertionError` too, as other layers raise."""


class Letter:
    """A message that waits.

    Args:
        message: What is sent.
        deadline: When it expires.
        is_owned: Whether nobody else has the message, so that it need not be copied.

    Raises:
        ValueError: It is nested deeper than `MAX_DEPTH`.

    Attributes:
        deadline: When it expires.
        size: About how large it is: the lengths of its texts and bytes, keys too, and a little for all else.
        open: Returns the message, a copy for each that asks.
    """

    __slots__ = ("deadline", "open", "size")

    def __init__(self, message: Message, deadline: float, *, is_owned: bool = False) -> None:
        self.deadline: float = deadline
        self.size: int = size_of(message)
        self.open: Callable[[], Message]
        if all(type(value) in _ATOMS for value in message.values()):
            self.open = (message if is_owned else message.copy()).copy
        else:
            self.open = partial(copy.deepcopy, message if is_owned else copy.deepcopy(message))


def check_message(message: object) -> None:
    """Raise `NotAMessage` for what is none."""
    if not isinstance(message, dict):
        raise NotAMessage(f"message is of type {type(message).__name__}; expected a dict with a type")
    if _RESERVED in message:
        raise NotAMessage(f"message has the key {_RESERVED!r}, which belongs to channel layers")


@contextmanager
def unreadable_is_logged() -> Iterator[None]:
    """Log what cannot be read: anybody can write to a server, so nothing that is read may end what reads."""
    try:
        yield
    except Exception:
        left_out = _unreadable.admit("unreadable", time.monotonic())
        if left_out is not None:
            more = f" (and {left_out} more such lines were left out)" if left_out else ""
            logger.exception(
                "a message of a channel layer cannot be read; is its prefix used by something else?%s", more
            )


def size_of(message: Message) -> int:
    """Return about how large a message is; see `Letter`.

    Raises:
        ValueError: It is nested deeper than `MAX_DEPTH`.
    """
    return _size_of(message, MAX_DEPTH) + _size_of(message.values(), MAX_DEPTH)


def _size_of(values: Iterable[object], depth: int) -> int:
    if depth == 0:
        raise ValueError(f"message is nested deeper than {MAX_DEPTH}; it may hold itself")
    size = 0
    for value in values:
        if isinstance(value, str | bytes | bytearray):
            size += len(value)
        elif isinstance(value, Mapping):
            size += _size_of(value, depth - 1) + _size_of(value.values(), depth - 1)
        elif isinstance(value, list | tuple | set | frozenset):
            size += _size_of(value, depth - 1)
        else:
            size += _SMALL
    return size
