"""Names: what a room, a connection and a push are called, and when a name is refused.

It does not know which rooms exist, and it never repairs a name.
"""

from __future__ import annotations

import re
import secrets
from typing import Final, NewType

from .errors import PresenceError, PushKeyError, RoomNameError

__all__ = (
    "MAX_PUSH_KEY_BYTES",
    "MAX_ROOM_NAME_BYTES",
    "MAX_WHO_BYTES",
    "ConnectionId",
    "RoomName",
    "group_topic",
    "new_connection_id",
    "node_of",
    "node_topic",
    "presence_topic",
    "push_key",
    "room_name",
    "who_name",
)

RoomName = NewType("RoomName", str)
ConnectionId = NewType("ConnectionId", str)

_NODE: Final = re.compile(r"[A-Za-z0-9_-]{8}", re.ASCII)  # 48 random bits

MAX_ROOM_NAME_BYTES: Final = 200
"""Upper bound of `Limits.max_room_name_bytes`: a name must fit a channel name of every layer."""

MAX_PUSH_KEY_BYTES: Final = 200
"""Longest idempotency key: a layer remembers a thousand of a room, each for minutes. A UUID takes 36 bytes."""

MAX_WHO_BYTES: Final = 1024
"""Longest name of somebody who is present: every id of a principal fits."""


def room_name(value: str, *, max_bytes: int = MAX_ROOM_NAME_BYTES, what: str = "room name") -> RoomName:
    """Return `value` as the name of a room, or of a group, which is called by the same rules.

    Args:
        value: Any printable text (`str.isprintable`), not empty.
        max_bytes: The longest name allowed, in bytes of UTF-8.
        what: What errors call it.

    Raises:
        RoomNameError: The name is not text, empty, too long, or not printable.
    """
    if not isinstance(value, str):
        raise RoomNameError(f"{what} is of type {type(value).__name__}; expected str")
    if not value:
        raise RoomNameError(f"{what} is empty; expected at least one character")
    # A lone surrogate is not printable either, so that `encode` below cannot fail.
    if not value.isprintable():
        raise RoomNameError(f"{what} {value!a} has a character that is not printable")
    size = len(value.encode())
    if size > max_bytes:
        raise RoomNameError(f"{what} is {size} bytes; the limit is {max_bytes} (Limits.max_room_name_bytes)")
    return RoomName(value)


def who_name(value: str) -> str:
    """Return `value` as a name of somebody who is present.

    Raises:
        PresenceError: The name is not text, empty, longer than `MAX_WHO_BYTES`, or not printable.
    """
    if not isinstance(value, str):
        raise PresenceError(f"who is of type {type(value).__name__}; expected str")
    if not value or not value.isprintable():
        raise PresenceError(f"who {value!a} is empty or not printable")
    if (size := len(value.encode())) > MAX_WHO_BYTES:
        raise PresenceError(f"who is {size} bytes; the limit is {MAX_WHO_BYTES}")
    return value


def push_key(value: str) -> str:
    """Return `value` as the idempotency key of a push or a dispatch.

    An empty one is refused, because it is one that somebody forgot to fill in: all pushes of a room would have it.

    Raises:
        PushKeyError: The key is not text, empty, longer than `MAX_PUSH_KEY_BYTES`, or not printable.
    """
    if not isinstance(value, str):
        raise PushKeyError(f"key is of type {type(value).__name__}; expected str")
    if not value:
        raise PushKeyError("key is empty; expected at least one character, or None for no key")
    if not value.isprintable():
        raise PushKeyError(f"key has a character that is not printable, at {_unprintable(value)}")
    if (size := len(value.encode())) > MAX_PUSH_KEY_BYTES:
        raise PushKeyError(f"key is {size} bytes; the limit is {MAX_PUSH_KEY_BYTES}")
    return value


def new_connection_id(node: str = "") -> ConnectionId:
    """Return an id that nobody can guess: 96 random bits in 16 URL-safe characters, then a dot and its process."""
    random = secrets.token_urlsafe(12)
    return ConnectionId(f"{random}.{node}" if node else random)


def node_of(connection_id: ConnectionId) -> str:
    """Return which process a connection belongs to, or nothing where the id, which may be made up, does not say."""
    node = connection_id.partition(".")[2]
    return node if _NODE.fullmatch(node) else ""


# A layer carries more than rooms, in the same order and with the same guarantees. The names of these topics begin with
# a character that is not printable, so that no room has one.


def presence_topic(room: RoomName) -> RoomName:
    """Return the name under which a layer publishes who comes to a room and who goes."""
    return RoomName(f"\x01p{room}")


def node_topic(node: str) -> RoomName:
    """Return the name under which a layer carries messages to one process; to all of them, where it is empty."""
    return RoomName(f"\x01n{node}")


def group_topic(group: RoomName) -> RoomName:
    """Return the name under which a layer carries what is dispatched to a group of consumers."""
    return RoomName(f"\x01g{group}")


def _unprintable(value: str) -> int:
    """Return where the first character stands that is not printable. A key may be private, so it is not shown."""
    return next(place for place, character in enumerate(value) if not character.isprintable())
