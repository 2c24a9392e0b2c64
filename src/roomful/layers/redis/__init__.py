"""The Redis layer: a client of two connections, and the functions that run inside the server."""

from .layer import RedisLayer, RedisStatus
from .line import Timing
from .publisher import AS_BEFORE, Bounds, keep_text

__all__ = ("AS_BEFORE", "Bounds", "RedisLayer", "RedisStatus", "Timing", "keep_text")
