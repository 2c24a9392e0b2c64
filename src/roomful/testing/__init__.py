"""Public test tools: an in-process client, fakes for the ports, a proxy that breaks connections, checks for layers.

They need nothing but roomful itself, and no test framework. `roomful.testing.faults` says what the proxy can do.
"""

from ..core.errors import ConnectionClosed
from .client import Client
from .conformance import LayerCheck, check_layer
from .connecting import connect
from .fake_clock import FakeClock
from .fake_layer import FakeLayer, Published
from .fake_pusher import FakePusher, Pushed
from .fake_wire import FakeFraming, FakeWire
from .fault_proxy import FaultProxy
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
    "FaultProxy",
    "LayerCheck",
    "Published",
    "Pushed",
    "Received",
    "Refused",
    "check_layer",
    "connect",
)
