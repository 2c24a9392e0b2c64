"""Events: what an application pushes.

An event is not yet numbered and not yet encoded; its room gives it a position, a codec its bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from .errors import EventTypeError

__all__ = ("MAX_EVENT_TYPE_BYTES", "RESERVED_PREFIX", "Event", "check_event_type")

RESERVED_PREFIX: Final = "roomful."
"""Types that begin like this are the library's own."""

MAX_EVENT_TYPE_BYTES: Final = 200
"""A type is a name, not a payload; it is repeated in the header of every binary event."""


def check_event_type(value: object) -> str:
    """Return `value` if an application may use it as an event type.

    Raises:
        EventTypeError: It is not text, empty, too long, not printable or reserved.
    """
    if not isinstance(value, str):
        raise EventTypeError(f"event type is of type {type(value).__name__}; expected str")
    if not value or not value.isprintable():
        raise EventTypeError(f"event type {value!a} is empty or not printable")
    if (size := len(value.encode())) > MAX_EVENT_TYPE_BYTES:
        raise EventTypeError(f"event type is {size} bytes; the limit is {MAX_EVENT_TYPE_BYTES}")
    if value.startswith(RESERVED_PREFIX):
        raise EventTypeError(
            f"event type {value!a} is reserved; types that begin with {RESERVED_PREFIX!r} are Roomful's own"
        )
    return value


@dataclass(frozen=True, slots=True)
class Event:
    """A `type` and its `data`.

    Args:
        type: A printable name, not beginning with `roomful.`.
        data: Anything that the codec can write as JSON (dicts, lists, texts, numbers, dataclasses, `msgspec.Struct`,
            pydantic models), or `bytes` for a binary event such as an image.

    Raises:
        EventTypeError: The type is reserved or not a name.
    """

    type: str
    data: object = None

    def __post_init__(self) -> None:
        check_event_type(self.type)

    def __repr__(self) -> str:
        # The data may be private; logs and tracebacks show the type alone.
        return f"Event({self.type!r}, …)"
