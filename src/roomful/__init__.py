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
    PositionError,
    Refuse,
    ReplyError,
    RoomfulError,
    RoomNameError,
    TooManyRooms,
    UnknownConnection,
    WrongLoop,
)
from .core.events import Event
from .core.limits import Limits
from .core.names import ConnectionId, RoomName
from .core.ports import Receipt
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
    "LayerError",
    "LimitError",
    "Limits",
    "NotEncodable",
    "NotShared",
    "Position",
    "PositionError",
    "Receipt",
    "Refuse",
    "ReplyError",
    "RoomName",
    "RoomNameError",
    "RoomfulError",
    "Statistics",
    "TooManyRooms",
    "UnknownConnection",
    "WrongLoop",
    "__version__",
    "on",
)
