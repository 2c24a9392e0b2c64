"""Channels' authentication by session, as it is."""

from channels.auth import AuthMiddleware, AuthMiddlewareStack, UserLazyObject, get_user, login, logout

__all__ = ("AuthMiddleware", "AuthMiddlewareStack", "UserLazyObject", "get_user", "login", "logout")
