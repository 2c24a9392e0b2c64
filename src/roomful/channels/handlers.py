"""Handlers: which method of a consumer takes a message.

A message's type comes from a group, and from a client where an application passes on what that says. So it leads to
methods that the application has written, and to no other: `send`, `close`, `channel_layer` and the like are out of
reach.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

__all__ = ("PROTOCOL", "find_handler", "handler_name")

PROTOCOL: Final = frozenset(
    ("http_disconnect", "http_request", "websocket_connect", "websocket_disconnect", "websocket_receive")
)
"""Handlers of ASGI's own events, which the library's classes have."""

_OURS: Final = "roomful.channels."


def handler_name(message: Mapping[str, Any]) -> str:
    """Return the name of the method that a message's type stands for: dots become underscores.

    Raises:
        ValueError: The message has no type, or one that begins like a private name.
    """
    type_ = message.get("type")
    if type_ is None:
        raise ValueError("Incoming message has no 'type' attribute; send {'type': 'name.of.handler', …}")
    if not isinstance(type_, str):
        raise ValueError(f"type of the message is {type(type_).__name__}; expected str")  # noqa: TRY004 -- what Channels has for all of these
    name = type_.replace(".", "_")
    if name.startswith("_"):
        raise ValueError(
            f"Malformed type in message (leading underscore): {type_[:100]!a}; private methods take no messages"
        )
    return name


def find_handler(consumer: object, name: str) -> Callable[..., Any] | None:
    """Return a consumer's method that may take messages, or None."""
    if name not in PROTOCOL:
        for base in type(consumer).__mro__:
            if name in vars(base) and (base is object or base.__module__.startswith(_OURS)):
                return None
    # What a class does not have by itself is data, such as what `__init__` has set.
    handler = getattr(consumer, name, None) if hasattr(type(consumer), name) else None
    return handler if callable(handler) else None
