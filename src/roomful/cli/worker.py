"""What runs in each process of `roomful serve`: the application, with a garbage collector set for idle connections.

A full collection walks every object of the process while every connection waits. What the application imported and
built at start lives as long as the process, so it is set aside once (`gc.freeze`); and the young generation may grow
larger before it is looked through, because connections leave few cycles behind.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, TypeAlias

__all__ = ("application",)

Event: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Event]]
Send: TypeAlias = Callable[[Event], Awaitable[None]]
Application: TypeAlias = Callable[[Event, Receive, Send], Awaitable[None]]

_STARTUP_FAILURE: Final = 3
"""Uvicorn's supervisor does not start a process again that ended with this exit code."""

GC_THRESHOLDS: Final = (20_000, 20, 20)
"""CPython's own young generation is 700 to 2,000 objects, which a fan-out to a thousand members fills at once."""


def application() -> Application:
    """Return the application that `roomful serve` was asked for; called by uvicorn in each process."""
    from uvicorn.importer import ImportFromStringError, import_from_string

    name = os.environ["ROOMFUL_APP"]
    try:
        found = import_from_string(name)
    except ImportFromStringError as error:
        print(f"roomful serve: {error}", file=sys.stderr)
        sys.exit(_STARTUP_FAILURE)
    return _Tuned(found() if os.environ.get("ROOMFUL_FACTORY") else found)


class _Tuned:
    """Passes everything on to an application; once that has started, sets the collector."""

    def __init__(self, app: Application) -> None:
        self._app = app
        self._is_set = False

    async def __call__(self, scope: Event, receive: Receive, send: Send) -> None:
        if self._is_set:
            await self._app(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._app(scope, receive, self._watch(send))
        else:
            # The application knows no lifespan, so its first connection says that it has started.
            self._set()
            await self._app(scope, receive, send)

    def _watch(self, send: Send) -> Send:
        async def watched(event: Event) -> None:
            if event["type"] == "lifespan.startup.complete":
                self._set()
            await send(event)

        return watched

    def _set(self) -> None:
        self._is_set = True
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
