"""The project as a part of `make demo`: with a database of its own, which ends with the server.

The project itself needs nothing of this: `roomful serve examples.django_alarms.project.asgi:application`.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "examples.django_alarms.project.settings")
_folder = tempfile.TemporaryDirectory(prefix="roomful-alarms-")
os.environ.setdefault("ALARMS_DATABASE", str(Path(_folder.name) / "alarms.sqlite3"))

from examples.django_alarms.project.asgi import application  # noqa: E402 -- needs what was set above
from roomful.django import get_hub  # noqa: E402 -- as above

__all__ = ("app",)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    from django.core.management import call_command  # noqa: PLC0415 -- Django is ready now

    await asyncio.to_thread(call_command, "demo")
    async with get_hub():
        yield


app = FastAPI(title="Alarms", lifespan=lifespan)
app.mount("/", application)
