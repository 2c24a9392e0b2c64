"""The queries of the program `query`, in Django's ORM; and the settings of a server that has them."""

from __future__ import annotations

import random
import time
from typing import Any

import django  # type: ignore[import-untyped] # Django has no types
from django.conf import settings  # type: ignore[import-untyped] # as above

from bench.servers.orm_table import ROWS, SLOW, SLOW_SQL, make_table, postgres

__all__ = ("query", "set_up")


def set_up(**more: Any) -> None:
    """Configure Django with the table."""
    folder = postgres()
    database = (
        {"ENGINE": "django.db.backends.sqlite3", "NAME": make_table()}
        if folder is None
        else {"ENGINE": "django.db.backends.postgresql", "HOST": folder, "USER": "bench", "NAME": "bench"}
    )
    # As a site that wants to be quick; with 0 each message would connect again.
    settings.configure(DATABASES={"default": {**database, "CONN_MAX_AGE": 60}}, **more)
    django.setup()
    from django.db.backends.signals import connection_created  # type: ignore[import-untyped] # noqa: PLC0415 -- as below

    connection_created.connect(_add_sleep)


async def query(message: str) -> None:
    """Ask for an item by its key, or what takes a second."""
    from django.db import models  # type: ignore[import-untyped] # noqa: PLC0415 -- no types; needs the settings

    if message.startswith(SLOW):
        await _ask_slowly()
        return
    global _Item  # noqa: PLW0603 -- a model can be made once
    if _Item is None:

        class Item(models.Model):  # type: ignore[misc] # Django has no types
            name = models.TextField()

            class Meta:
                app_label = "items"
                managed = False

        _Item = Item
    await _Item.objects.aget(pk=random.randrange(ROWS))


async def _ask_slowly() -> None:
    from asgiref.sync import sync_to_async  # noqa: PLC0415 -- not every server of the bench has it
    from django.db import connection  # noqa: PLC0415 -- needs the settings

    def ask() -> None:
        with connection.cursor() as cursor:
            cursor.execute(SLOW_SQL)
            cursor.fetchall()

    await sync_to_async(ask)()


def _add_sleep(connection: Any, **_: object) -> None:
    if connection.vendor == "sqlite":
        connection.connection.create_function("pg_sleep", 1, time.sleep)


_Item: Any = None
