"""What a class of Django's looks like to a type checker: Django has no types, and ours should have.

At run time the classes that stand for it are Django's own.
"""

from __future__ import annotations

from typing import Any

__all__ = ("Untyped",)


class Untyped:
    """Has every attribute."""

    def __getattr__(self, name: str) -> Any: ...
