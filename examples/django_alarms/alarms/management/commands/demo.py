"""`manage.py demo`: makes the database, and people to try it with."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand

__all__ = ("Command",)


class Command(BaseCommand):
    help = "Makes the database, and the users admin, ada and bob, whose passwords are their names."

    def handle(self, *_: Any, **options: Any) -> None:
        call_command("migrate", verbosity=0)
        users = get_user_model().objects
        for name in ("admin", "ada", "bob"):
            if not users.filter(username=name).exists():
                (users.create_superuser if name == "admin" else users.create_user)(name, password=name)
