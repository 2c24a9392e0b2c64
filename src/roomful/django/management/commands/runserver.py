"""`manage.py runserver`: Django's development server on our interface server, so that WebSockets work there.

It reloads when a file changes. For production there is `roomful serve`.
"""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from channels.routing import get_default_application
from django.apps import apps
from django.conf import settings
from django.utils import autoreload

if TYPE_CHECKING:
    from ...untyped import Untyped as RunserverCommand
else:
    from django.core.management.commands.runserver import Command as RunserverCommand

__all__ = ("Command",)

_END_S: Final = 3.0
"""Time that a server has to end when a file has changed: Python waits for threads, and a handler may be in one."""
_CHANGED: Final = 3  # Django's own, for its parent: begin anew


class Command(RunserverCommand):
    """Serves `ASGI_APPLICATION`."""

    help: str = "Runs the application of ASGI_APPLICATION, with WebSockets, for development."

    def inner_run(self, *_: Any, **options: Any) -> None:
        """Serve in this process; the parent begins it anew when a file changes."""
        import uvicorn  # noqa: PLC0415 -- of another extra

        autoreload.raise_last_exception()
        autoreload.file_changed.connect(_end_soon)
        if not options["skip_checks"]:
            self.stdout.write("Performing system checks…\n")
            self.check(display_num_errors=True)
        self.check_migrations()
        application: Any = get_default_application()
        if settings.DEBUG and apps.is_installed("django.contrib.staticfiles"):
            from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler  # noqa: PLC0415 -- it needs the app

            application = _with_static_files(application, ASGIStaticFilesHandler(application))
        address = f"[{self.addr}]" if self._raw_ipv6 else self.addr
        self.stdout.write(
            f"Roomful serves {settings.SETTINGS_MODULE} on http://{address}:{self.port}/ (Ctrl-C ends)\n"
        )
        self.stdout.flush()
        logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
        config = uvicorn.Config(
            application,
            host=self.addr,
            port=int(self.port),
            ws="roomful.server:WebSocketProtocol",
            http="roomful.server.http:HttpProtocol",
            log_level="info",
            timeout_graceful_shutdown=2,
        )
        uvicorn.Server(config).run()


def _end_soon(*, file_path: Path, **_: Any) -> None:
    if file_path.suffix == ".py":
        ending = threading.Timer(_END_S, os._exit, (_CHANGED,))
        ending.daemon = True
        ending.start()


def _with_static_files(application: Any, files: Any) -> Any:
    async def serve(scope: Any, receive: Any, send: Any) -> None:
        await (files if scope["type"] == "http" else application)(scope, receive, send)

    return serve
