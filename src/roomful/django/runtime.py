"""What one process has of `ROOMFUL`: its hub and its lanes, made when they are first needed.

A setting that changes, as tests change them, makes new ones; nothing is closed here.
"""

from __future__ import annotations

import threading

from django.core.signals import setting_changed
from django.dispatch import receiver

from ..assembly import Hub
from ..core.limits import Limits
from .conf import configuration
from .lanes import Lanes

__all__ = ("get_hub", "get_lanes", "get_limits")

_lock = threading.Lock()
_hub: Hub | None = None
_lanes: Lanes | None = None
_limits: Limits | None = None


def get_hub() -> Hub:
    """Return the hub of this process.

    Raises:
        ImproperlyConfigured: `ROOMFUL` cannot work.
        LayerError: Its layer cannot be used.
    """
    global _hub  # noqa: PLW0603 -- one for each process, as Django's settings are
    if _hub is None:
        with _lock:
            if _hub is None:
                _hub = Hub(**configuration().hub)
    return _hub


def get_lanes() -> Lanes:
    """Return the lanes of this process.

    Raises:
        ImproperlyConfigured: `ROOMFUL` cannot work.
    """
    global _lanes  # noqa: PLW0603 -- as above
    if _lanes is None:
        with _lock:
            if _lanes is None:
                _lanes = Lanes(configuration().database_threads)
    return _lanes


def get_limits() -> Limits:
    """Return the limits of this process.

    Raises:
        ImproperlyConfigured: `ROOMFUL` cannot work.
    """
    global _limits  # noqa: PLW0603 -- as above
    if _limits is None:
        limits: Limits = configuration().hub["limits"]
        _limits = limits
    return _limits


@receiver(setting_changed)
def _forget(*, setting: str, **_: object) -> None:
    global _hub, _lanes, _limits  # noqa: PLW0603 -- as above
    if setting == "ROOMFUL":
        _hub = _lanes = _limits = None
