"""The Django app: `"roomful.django"` in `INSTALLED_APPS`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .untyped import Untyped as AppConfig
else:
    from django.apps import AppConfig

__all__ = ("RoomfulConfig",)


class RoomfulConfig(AppConfig):
    """Registers the checks of `ROOMFUL`."""

    name = "roomful.django"
    label = "roomful"
    verbose_name: str = "Roomful"

    def ready(self) -> None:
        """Register them."""
        from . import checks  # noqa: F401, PLC0415 -- by being imported
