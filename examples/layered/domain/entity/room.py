"""A room: a limited number of places, and who has taken them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NewType

from ..errors import InvalidValue, NameTaken, NotAMember, RoomClosed, RoomFull
from .user import User

__all__ = ("MAX_CAPACITY", "MAX_TITLE", "Room", "RoomId")

RoomId = NewType("RoomId", str)

MAX_TITLE: Final = 60
MAX_CAPACITY: Final = 50


@dataclass(slots=True)
class Room:
    """A room that keeps its own rules: nobody can bring it into a state that breaks one."""

    id: RoomId
    title: str
    capacity: int
    is_open: bool = True
    members: list[User] = field(default_factory=list)

    def __post_init__(self) -> None:
        if (
            not 1 <= len(self.title) <= MAX_TITLE
            or not self.title.isprintable()
            or self.title != self.title.strip()
        ):
            raise InvalidValue(f"a title has 1 to {MAX_TITLE} printable characters, and no space around them")
        if not 1 <= self.capacity <= MAX_CAPACITY:
            raise InvalidValue(f"a room has 1 to {MAX_CAPACITY} places")

    def join(self, user: User) -> None:
        """Take a place.

        Raises:
            RoomClosed: The room takes nobody any more.
            NameTaken: Somebody of this name is in the room.
            RoomFull: Every place is taken.
        """
        if not self.is_open:
            raise RoomClosed("this room is closed")
        if user in self.members:
            raise NameTaken("somebody of this name is in the room")
        if len(self.members) >= self.capacity:
            raise RoomFull("every place in this room is taken")
        self.members.append(user)

    def leave(self, user: User) -> None:
        """Give up a place; closed rooms can be left too.

        Raises:
            NotAMember: Nobody of this name is in the room.
        """
        if user not in self.members:
            raise NotAMember("nobody of this name is in the room")
        self.members.remove(user)

    def close(self) -> None:
        """Take nobody any more. Who is inside may stay.

        Raises:
            RoomClosed: It is closed already.
        """
        if not self.is_open:
            raise RoomClosed("this room is closed already")
        self.is_open = False
