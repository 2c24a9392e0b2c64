"""Public test tools: an in-process client, fakes for the ports, and the conformance suite for layers.

They need nothing but roomful itself, and no test framework.
"""

from ..core.errors import ConnectionClosed
from .client import Client
from .conformance import LayerCheck, check_layer
from .connecting import connect
from .fake_clock import FakeClock
from .fake_layer import FakeLayer, Published
from .fake_pusher import FakePusher, Pushed
from .fake_wire import FakeFraming, FakeWire
from .received import ErrorReply, Received
from .socket import ClientGone, Refused

__all__ = (
    "Client",
    "ClientGone",
    "ConnectionClosed",
    "ErrorReply",
    "FakeClock",
    "FakeFraming",
    "FakeLayer",
    "FakePusher",
    "FakeWire",
    "LayerCheck",
    "Published",
    "Pushed",
    "Received",
    "Refused",
    "check_layer",
    "connect",
)
