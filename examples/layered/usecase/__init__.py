"""What somebody can do: one class each, made with the ports that it needs and called with what is wished."""

from .close_room import CloseRoom
from .create_room import CreateRoom
from .join_room import JoinRoom
from .leave_room import LeaveRoom
from .show_rooms import ListRooms, ShowRoom

__all__ = ("CloseRoom", "CreateRoom", "JoinRoom", "LeaveRoom", "ListRooms", "ShowRoom")
