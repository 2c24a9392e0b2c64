"""Headers of a scope: the values of one name, as bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ("values_of",)


def values_of(scope: Mapping[str, Any], name: bytes) -> list[bytes]:
    """Return the values of all header lines with this name, which is in lower case (ASGI HTTP, *Connection scope*)."""
    return [value for header, value in scope.get("headers") or () if header == name]
