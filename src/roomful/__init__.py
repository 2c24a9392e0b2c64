"""Real-time rooms for Python web apps.

Every message arrives in order, once, or the receiver is told exactly what it missed.
"""

from ._version import __version__
from .assembly import Hub
from .consumers import on
from .core.close_codes import CloseCode
from .core.errors import (
    ConnectionClosed,
    ConsumerError,
    EventTypeError,
    HubClosed,
    InvalidMessage,
    InvalidState,
    LayerError,
    LimitError,
    NotEncodable,
    NotShared,
    PolicyError,
    PositionError,
    Refuse,
    ReplyError,
    RoomfulError,
    RoomFull,
    RoomNameError,
    TooManyRooms,
    UnknownConnection,
    WrongLoop,
)
from .core.events import Event
from .core.limits import Limits
from .core.names import ConnectionId, RoomName
from .core.policies import RoomPolicy
from .core.ports import Joined, Receipt
from .core.positions import Position
from .endpoint import Consumer
from .hub import Statistics

__all__ = (
    "CloseCode",
    "ConnectionClosed",
    "ConnectionId",
    "Consumer",
    "ConsumerError",
    "Event",
    "EventTypeError",
    "Hub",
    "HubClosed",
    "InvalidMessage",
    "InvalidState",
    "Joined",
    "LayerError",
    "LimitError",
    "Limits",
    "NotEncodable",
    "NotShared",
    "PolicyError",
    "Position",
    "PositionError",
    "Receipt",
    "Refuse",
    "ReplyError",
    "RoomFull",
    "RoomName",
    "RoomNameError",
    "RoomPolicy",
    "RoomfulError",
    "Statistics",
    "TooManyRooms",
    "UnknownConnection",
    "WrongLoop",
    "__version__",
    "on",
)
