"""Real-time rooms for Python web apps.

Every message arrives in order, once, or the receiver is told exactly what it missed.
"""

from typing import TYPE_CHECKING

from . import auth as _auth
from ._version import __version__
from .assembly import Hub, Producer
from .auth import Admission, Origins, Permissions, Tickets
from .consumers import on, on_dispatch
from .core.access import Principal
from .core.close_codes import CloseCode
from .core.errors import (
    ConnectionClosed,
    ConsumerError,
    EventTypeError,
    Forbidden,
    HubClosed,
    InboxFull,
    InvalidMessage,
    InvalidState,
    LayerAway,
    LayerError,
    LimitError,
    NotAuthenticated,
    NotEncodable,
    NotShared,
    PolicyError,
    PositionError,
    PresenceError,
    PushInDoubt,
    PushKeyError,
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
from .core.ports import Joined, Present, Receipt
from .core.positions import Gap, Position
from .endpoint import Consumer
from .hub import Statistics

if TYPE_CHECKING:
    from .auth import Jwks, JwtAuth

__all__ = (
    "Admission",
    "CloseCode",
    "ConnectionClosed",
    "ConnectionId",
    "Consumer",
    "ConsumerError",
    "Event",
    "EventTypeError",
    "Forbidden",
    "Gap",
    "Hub",
    "HubClosed",
    "InboxFull",
    "InvalidMessage",
    "InvalidState",
    "Joined",
    "Jwks",
    "JwtAuth",
    "LayerAway",
    "LayerError",
    "LimitError",
    "Limits",
    "NotAuthenticated",
    "NotEncodable",
    "NotShared",
    "Origins",
    "Permissions",
    "PolicyError",
    "Position",
    "PositionError",
    "PresenceError",
    "Present",
    "Principal",
    "Producer",
    "PushInDoubt",
    "PushKeyError",
    "Receipt",
    "Refuse",
    "ReplyError",
    "RoomFull",
    "RoomName",
    "RoomNameError",
    "RoomPolicy",
    "RoomfulError",
    "Statistics",
    "Tickets",
    "TooManyRooms",
    "UnknownConnection",
    "WrongLoop",
    "__version__",
    "on",
    "on_dispatch",
)


def __getattr__(name: str) -> object:
    # What needs an optional package is loaded when it is used.
    if name in ("Jwks", "JwtAuth"):
        return getattr(_auth, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
