"""System checks: what `manage.py check` says about `ROOMFUL`."""

from __future__ import annotations

from collections.abc import Sequence

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register  # noqa: A004 -- Django's name for one
from django.core.exceptions import ImproperlyConfigured

from ..assembly import Hub
from ..core.errors import RoomfulError
from .conf import configuration

__all__ = ("check_roomful",)


@register("roomful")
def check_roomful(**_: object) -> Sequence[CheckMessage]:
    """Tell what in `ROOMFUL` cannot work, and what will surprise."""
    try:
        arguments = configuration().hub
        Hub(**arguments)  # opens nothing
    except ImproperlyConfigured as error:
        return [Error(str(error), id="roomful.E001")]
    except (RoomfulError, TypeError, ValueError) as error:
        return [Error(f"ROOMFUL cannot work: {error}", id="roomful.E002")]
    if not settings.DEBUG and arguments["layer"] is None and arguments["shared"]:
        return [
            Warning(
                "ROOMFUL names no LAYER, so rooms reach one process, and pushes of commands and workers reach none.",
                hint="ROOMFUL = {'LAYER': 'redis://localhost:6379'}, or {'SHARED': False} if that is meant.",
                id="roomful.W001",
            )
        ]
    return []
