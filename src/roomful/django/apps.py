"""The Django app: `"roomful.django"` in `INSTALLED_APPS`."""

from __future__ import annotations

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
