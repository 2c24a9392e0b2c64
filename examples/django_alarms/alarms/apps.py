"""The app's configuration."""

from __future__ import annotations

from django.apps import AppConfig

__all__ = ("AlarmsConfig",)


class AlarmsConfig(AppConfig):
    name = "examples.django_alarms.alarms"
    label = "alarms"

    def ready(self) -> None:
        from . import signals  # noqa: F401, PLC0415 -- by being imported
