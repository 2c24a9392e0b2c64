"""The inbox: what one client has sent and its handler has not yet seen.

It bounds nothing by dropping: it says when its socket should not be read, so that TCP holds the client back.
"""

from __future__ import annotations

from collections import deque

__all__ = ("Inbox",)


class Inbox:
    """Messages in the order of their arrival."""

    __slots__ = ("_max_bytes", "_max_messages", "_messages", "_size", "_turns")

    def __init__(self, *, max_messages: int, max_bytes: int) -> None:
        self._messages: deque[str | bytes | None] = deque()
        self._size = 0
        self._turns = 0
        self._max_messages = max_messages
        self._max_bytes = max_bytes

    def __len__(self) -> int:
        return len(self._messages)

    @property
    def messages(self) -> int:
        """How many messages wait."""
        return len(self._messages) - self._turns

    @property
    def is_full(self) -> bool:
        """Whether the socket should not be read."""
        return self.messages >= self._max_messages or self._size >= self._max_bytes

    @property
    def has_room(self) -> bool:
        """Whether a socket that was not read should be read again: below half of each bound, so as not to flutter."""
        return self.messages * 2 <= self._max_messages and self._size * 2 <= self._max_bytes

    def put(self, message: str | bytes) -> None:
        """Queue a message. What was on its way when the reading stopped still comes, so it always fits."""
        self._messages.append(message)
        # The length of a text is a lower bound of its bytes; counting them exactly would cost an encoding.
        self._size += len(message)

    def put_turn(self) -> None:
        """Queue a turn of somebody else, who comes after the messages that wait; it counts against no bound."""
        self._messages.append(None)
        self._turns += 1

    def take(self) -> str | bytes | None:
        """Remove and return the oldest message, or None for a turn of somebody else.

        Raises:
            IndexError: There is none.
        """
        message = self._messages.popleft()
        if message is None:
            self._turns -= 1
        else:
            self._size -= len(message)
        return message
