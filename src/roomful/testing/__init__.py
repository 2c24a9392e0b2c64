"""Public test tools: an in-process client, fakes for the ports, and the conformance suite for layers.

They need nothing but roomful itself, and no test framework.
"""

from ..core.errors import ConnectionClosed
from .client import Client
from .connecting import connect
from .received import ErrorReply, Received
from .socket import ClientGone, Refused

__all__ = (
    "Client",
    "ClientGone",
    "ConnectionClosed",
    "ErrorReply",
    "Received",
    "Refused",
    "connect",
)
