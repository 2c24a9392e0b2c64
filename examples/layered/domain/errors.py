"""What can be wrong with a wish, in the domain's words; HTTP's words for it are `web`'s affair.

DomainError
├── InvalidValue     a name, a title or a capacity cannot be
├── RoomNotFound     no room has this id
├── NotAMember       nobody of this name is in the room
├── RoomClosed       the room takes nobody any more
├── RoomFull         every place is taken
├── NameTaken        somebody of this name is in the room
└── RoomChanged      somebody else changed the room at the same moment
"""

from __future__ import annotations

from typing import ClassVar

__all__ = (
    "DomainError",
    "InvalidValue",
    "NameTaken",
    "NotAMember",
    "RoomChanged",
    "RoomClosed",
    "RoomFull",
    "RoomNotFound",
)


class DomainError(Exception):
    """The root. `code` is a stable word for programs, the text a sentence for people."""

    code: ClassVar[str]


class InvalidValue(DomainError):
    """A name, a title or a capacity cannot be."""

    code = "invalid_value"


class RoomNotFound(DomainError):
    """No room has this id."""

    code = "room_not_found"


class NotAMember(DomainError):
    """Nobody of this name is in the room."""

    code = "not_a_member"


class RoomClosed(DomainError):
    """The room takes nobody any more."""

    code = "room_closed"


class RoomFull(DomainError):
    """Every place is taken."""

    code = "room_full"


class NameTaken(DomainError):
    """Somebody of this name is in the room."""

    code = "name_taken"


class RoomChanged(DomainError):
    """Somebody else changed the room between this use case's reading and saving."""

    code = "room_changed"
