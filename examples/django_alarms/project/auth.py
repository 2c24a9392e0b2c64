"""Who may connect: a program by a JWT, a page by the session of whoever has logged in."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth import get_user_model

from roomful import JwtAuth, Principal
from roomful.django import SessionAuth

__all__ = ("ALGORITHM", "AUTH", "load_user")

ALGORITHM = "HS256"


async def load_user(principal: Principal) -> object | None:
    """Return the user of a token, or None when there is none any more."""
    user: object | None = await get_user_model().objects.filter(pk=principal.id, is_active=True).afirst()
    return user


AUTH = [JwtAuth(key=settings.JWT_KEY, algorithms=[ALGORITHM], load_user=load_user), SessionAuth()]
