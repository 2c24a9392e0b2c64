"""Django's session at the door: whoever has logged in on the site is known to the hub.

It reads the session through Django's async API and changes nothing in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import aget_user

from ..core.access import Principal, Scope
from .runtime import get_lanes

__all__ = ("SessionAuth",)


@dataclass(frozen=True, slots=True)
class _Request:
    """What Django asks for who a session belongs to."""

    session: Any


class SessionAuth:
    """Finds out by the session cookie who connects: `ROOMFUL = {"AUTH": "roomful.django.SessionAuth"}`.

    The principal's id is the primary key of the user, as text. The user stands in `scope["user"]` and the session in
    `scope["session"]`. The connection ends when the session does; a logout before that ends it by
    `hub.disconnect(principal=…)`.
    """

    def __repr__(self) -> str:
        return "<SessionAuth>"

    async def authenticate(self, scope: Scope) -> Principal | None:
        """Return whose session a handshake belongs to, or None when nobody has logged in there."""
        key = _session_key(scope)
        if not key:
            return None
        session = import_module(settings.SESSION_ENGINE).SessionStore(key)
        async with get_lanes().lane():
            user = await aget_user(_Request(session))
            if not user.is_authenticated:
                return None
            expires_at = (await session.aget_expiry_date()).timestamp()
        scope["user"], scope["session"] = user, session
        return Principal(str(user.pk), {"username": user.get_username()}, expires_at)


def _session_key(scope: Scope) -> str:
    for name, value in scope.get("headers") or ():
        if name == b"cookie":
            cookies: SimpleCookie = SimpleCookie()
            try:
                cookies.load(value.decode("latin-1"))
            except CookieError:
                continue
            if settings.SESSION_COOKIE_NAME in cookies:
                return cookies[settings.SESSION_COOKIE_NAME].value
    return ""
