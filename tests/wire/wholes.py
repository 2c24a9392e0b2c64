"""Messages as their receiver sees them."""

from __future__ import annotations

from collections.abc import Iterable

from roomful.core.ports import Message

__all__ = ("whole",)


def whole(messages: Iterable[Message]) -> list[Message]:
    """Return messages without tails."""
    return [Message(message.is_text, b"".join((message.data, message.tail))) for message in messages]
