"""Addresses of sockets."""

from __future__ import annotations

from django.conf import settings
from django.urls import path, re_path

from examples.django_alarms.project.auth import ALGORITHM, load_user
from roomful import JwtAuth
from roomful.channels.auth import AuthMiddlewareStack
from roomful.channels.security.websocket import AllowedHostsOriginValidator

from .consumers import AlarmConsumer, Alarms

__all__ = ("websocket_urlpatterns",)

websocket_urlpatterns = [
    # The hub of ROOMFUL looks at origins, tokens and sessions by itself.
    path("ws/alarms/", Alarms.as_asgi()),
    # Here middleware does, as it did under Channels.
    re_path(
        r"ws/alarms/(?P<user_id>\w+)/$",
        AllowedHostsOriginValidator(
            AuthMiddlewareStack(
                JwtAuth(
                    AlarmConsumer.as_asgi(),
                    key=settings.JWT_KEY,
                    algorithms=[ALGORITHM],
                    load_user=load_user,
                    required=False,
                )
            )
        ),
    ),
]
