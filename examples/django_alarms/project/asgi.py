"""The ASGI application: `roomful serve examples.django_alarms.project.asgi:application`."""

from __future__ import annotations

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "examples.django_alarms.project.settings")
# Before anything that imports models.
http = get_asgi_application()

from examples.django_alarms.alarms.routing import websocket_urlpatterns  # noqa: E402 -- as above
from roomful.channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402 -- as above

__all__ = ("application",)

application = ProtocolTypeRouter({"http": http, "websocket": URLRouter(websocket_urlpatterns)})
