"""The assembly: the public `Hub` and `Producer`, put together from an engine, a layer and the codecs."""

from .hub import Hub
from .producer import Producer

__all__ = ("Hub", "Producer")
