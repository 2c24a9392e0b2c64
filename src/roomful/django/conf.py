"""`ROOMFUL` of a Django project, read when it is first needed.

    ROOMFUL = {
        "LAYER": "redis://localhost:6379",
        "ROOMS": {"alarms.*": {"history": 100}},
        "LIMITS": {"max_message_bytes": 1_000_000},
        "DATABASE_THREADS": 8,
    }

What stands there wrongly is told by `manage.py check`; here it raises.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from ..core.errors import LimitError, PolicyError
from ..core.limits import Limits
from ..core.policies import RoomPolicy

__all__ = ("KEYS", "Configuration", "configuration")

KEYS: Final = (
    "LAYER",
    "ROOMS",
    "LIMITS",
    "ORIGINS",
    "AUTH",
    "PERMISSIONS",
    "ADMISSION",
    "SHARED",
    "FAST_PATH",
    "DATABASE_THREADS",
)

DATABASE_THREADS: Final = 8
"""Each may hold a connection to each database, and databases have a hundred or two for all processes."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """What `ROOMFUL` says.

    Attributes:
        hub: The arguments of the hub.
        database_threads: Threads in which handlers use the database.
    """

    hub: dict[str, Any] = field(default_factory=dict)
    database_threads: int = DATABASE_THREADS


def configuration() -> Configuration:
    """Read the setting.

    Raises:
        ImproperlyConfigured: A key is unknown or a value cannot work; the text names it.
    """
    given = getattr(settings, "ROOMFUL", {})
    if not isinstance(given, Mapping):
        raise ImproperlyConfigured(f"ROOMFUL is of type {type(given).__name__}; expected a dict")
    unknown = sorted(str(key) for key in given if key not in KEYS)
    if unknown:
        raise ImproperlyConfigured(f"ROOMFUL has the key {unknown[0]!r}; expected {', '.join(KEYS)}")
    threads = given.get("DATABASE_THREADS", DATABASE_THREADS)
    if not isinstance(threads, int) or isinstance(threads, bool) or threads < 1:
        raise ImproperlyConfigured(
            f"ROOMFUL['DATABASE_THREADS'] is {threads!r}; expected a whole number from 1 on"
        )
    hub: dict[str, Any] = {
        "layer": given.get("LAYER"),
        "rooms": _rooms(given.get("ROOMS") or {}),
        "limits": _limits(given.get("LIMITS") or {}),
        "origins": given.get("ORIGINS") or (),
        "auth": _named("AUTH", given.get("AUTH")) or (),
        "permissions": _named("PERMISSIONS", given.get("PERMISSIONS")),
        "admission": _named("ADMISSION", given.get("ADMISSION")),
        "shared": bool(given.get("SHARED", True)),
        "fast_path": bool(given.get("FAST_PATH", True)),
    }
    return Configuration(hub, threads)


def _rooms(given: object) -> dict[str, RoomPolicy]:
    if not isinstance(given, Mapping):
        raise ImproperlyConfigured(f"ROOMFUL['ROOMS'] is {given!r}; expected policies by pattern")
    policies = {}
    for pattern, policy in given.items():
        try:
            policies[pattern] = policy if isinstance(policy, RoomPolicy) else RoomPolicy(**policy)
        except (TypeError, PolicyError) as error:
            raise ImproperlyConfigured(f"ROOMFUL['ROOMS'][{pattern!r}] cannot work: {error}") from None
    return policies


def _limits(given: object) -> Limits:
    if isinstance(given, Limits):
        return given
    try:
        return Limits(**given)  # type: ignore[arg-type] # a setting may be anything
    except (TypeError, LimitError) as error:
        raise ImproperlyConfigured(f"ROOMFUL['LIMITS'] cannot work: {error}") from None


def _named(key: str, value: object) -> object:
    """Return an object, or what the dotted name of one leads to."""
    if not isinstance(value, str):
        return value
    try:
        found: object = import_string(value)
    except ImportError as error:
        raise ImproperlyConfigured(f"ROOMFUL[{key!r}] is {value!r}: {error}") from None
    return found() if isinstance(found, type) else found
