"""Channels' cookies and sessions, as they are."""

from channels.sessions import (
    CookieMiddleware,
    InstanceSessionWrapper,
    SessionMiddleware,
    SessionMiddlewareStack,
)

__all__ = ("CookieMiddleware", "InstanceSessionWrapper", "SessionMiddleware", "SessionMiddlewareStack")
