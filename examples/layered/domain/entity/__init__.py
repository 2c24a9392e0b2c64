"""The things that the application is about."""

from .event import Event
from .room import Room, RoomId
from .user import User

__all__ = ("Event", "Room", "RoomId", "User")
