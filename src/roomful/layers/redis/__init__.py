"""The Redis layer: a client of two connections, and the functions that run inside the server."""

from .layer import RedisLayer, RedisStatus
from .line import Timing
from .publisher import Bounds

__all__ = ("Bounds", "RedisLayer", "RedisStatus", "Timing")
