"""The endpoint: handshake → connection → consumer, for any ASGI server.

It is the place where the hub, consumers and wires meet; each of them knows only the ports.
"""

from .application import ConsumerApp, Receive, Send
from .consumer import Consumer
from .health import HealthCheck
from .tell_browsers import TellBrowsers

__all__ = ("Consumer", "ConsumerApp", "HealthCheck", "Receive", "Send", "TellBrowsers")
