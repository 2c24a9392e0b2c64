"""The query of the program `query`, in Django's ORM; and the settings of a server that has it."""

from __future__ import annotations

import random
from typing import Any

import django  # type: ignore[import-untyped] # Django has no types
from django.conf import settings  # type: ignore[import-untyped] # as above

from bench.servers.orm_table import ROWS, make_table

__all__ = ("query", "set_up")


def set_up(**more: Any) -> None:
    """Configure Django with the table."""
    settings.configure(
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": make_table(),
                # As a site that wants to be quick; with 0 each message would open the file again.
                "CONN_MAX_AGE": 60,
            }
        },
        **more,
    )
    django.setup()


async def query() -> str:
    """Return the name of an item by its key."""
    from django.db import models  # type: ignore[import-untyped] # noqa: PLC0415 -- no types; needs the settings

    global _Item  # noqa: PLW0603 -- a model can be made once
    if _Item is None:

        class Item(models.Model):  # type: ignore[misc] # Django has no types
            name = models.TextField()

            class Meta:
                app_label = "items"
                managed = False

        _Item = Item
    item = await _Item.objects.aget(pk=random.randrange(ROWS))
    name: str = item.name
    return name


_Item: Any = None
