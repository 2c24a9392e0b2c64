"""The hub: the registry of rooms and connections in one process.

`outbox`, `inbox`, `rooms`, `heartbeat` and `throttle` are pure; the others are the asyncio shells above them.
It knows neither a socket nor a consumer nor where events come from: those stand behind `roomful.core.ports`.
"""

from .connection import Connection
from .engine import Engine
from .statistics import Statistics

__all__ = ("Connection", "Engine", "Statistics")
