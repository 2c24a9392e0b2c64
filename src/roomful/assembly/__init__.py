"""The assembly: the public `Hub`, put together from an engine, a layer and the codecs."""

from .hub import Hub

__all__ = ("Hub",)
