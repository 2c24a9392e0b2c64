"""Workers: how many processes the server runs that this one belongs to, as far as it can be known from inside one.

It starts none, and it does not guess: what it cannot know counts as one.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Sequence
from pathlib import PurePath

__all__ = ("announced_workers", "count_workers")

_SERVERS = ("gunicorn", "hypercorn", "granian")
_OPTIONS = ("-w", "--workers")


def announced_workers() -> int:
    """Return what `roomful serve` says, which is exact; 1 when it says nothing."""
    return _number(os.environ.get("ROOMFUL_WORKERS")) or 1


def count_workers() -> int:
    """Return the number of worker processes; the first who says something counts.

    `roomful serve`; the settings that uvicorn has given to this process; `WEB_CONCURRENCY`, which is uvicorn's and
    gunicorn's own variable; the command line of gunicorn, Hypercorn or Granian.
    """
    return (
        _number(os.environ.get("ROOMFUL_WORKERS"))
        or _number_of_uvicorn()
        or _number(os.environ.get("WEB_CONCURRENCY"))
        or _number_of_command(sys.argv)
        or 1
    )


def _number(text: object) -> int | None:
    return int(text) if isinstance(text, str) and text.isdecimal() else None


def _number_of_uvicorn() -> int | None:
    """Return what uvicorn's own settings say in a process that it has started, for workers or to reload."""
    if multiprocessing.parent_process() is None:
        return None
    # The public API of processes does not give back what one was started with.
    arguments = getattr(multiprocessing.current_process(), "_kwargs", {})
    config = arguments.get("config")
    workers = getattr(config, "workers", None)
    is_uvicorns = type(config).__module__.partition(".")[0] == "uvicorn"
    return workers if is_uvicorns and isinstance(workers, int) else None


def _number_of_command(command: Sequence[str]) -> int | None:
    """Return what a server's command line says; its workers have inherited it."""
    # `python -m gunicorn` puts the path of the package's `__main__.py` first.
    path = PurePath(command[0]) if command else PurePath()
    if (path.parent.name if path.name == "__main__.py" else path.stem) not in _SERVERS:
        return None
    for here, following in zip(command, [*command[1:], ""], strict=True):
        option, _, value = here.partition("=")
        if option in _OPTIONS:
            return _number(value or following)
    return None
