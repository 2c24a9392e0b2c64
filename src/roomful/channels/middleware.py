"""Channels' base of ASGI middleware, as it is."""

from channels.middleware import BaseMiddleware

__all__ = ("BaseMiddleware",)
