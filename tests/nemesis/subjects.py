"""The servers that are tortured, each in a process of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from roomful.testing.nemesis import ServerProcess

__all__ = ("IMMORTAL", "LATE", "SUBJECTS", "subject")

ROOT: Final = Path(__file__).parents[2]

_APP: Final = "tests.nemesis.app:app"

SUBJECTS: Final[Mapping[str, tuple[str, ...]]] = {
    "fast": ("roomful", "serve", _APP, "--port", "0"),
    "plain": ("roomful", "serve", _APP, "--port", "0"),
    "interrupted": ("roomful", "serve", _APP, "--port", "0"),
    "workers": ("roomful", "serve", _APP, "--port", "0", "--workers", "2"),
    # Without a bound uvicorn waits for the last of its calls for ever.
    "uvicorn": (
        *("uvicorn", _APP, "--port", "0", "--ws", "websockets-sansio"),
        *("--timeout-graceful-shutdown", "10"),
    ),
}
"""The commands by name: our server with both paths, with a layer that misses events, and with two processes that share
a server; uvicorn with its own class."""

LATE: Final = frozenset({"interrupted", "workers"})
"""Those whose layer delivers later than it answers."""

IMMORTAL: Final = frozenset({"workers"})
"""Those that are not killed: worker processes would outlive their parent."""

_ENVIRONMENT: Final = {
    "plain": {"NEMESIS_PATH": "plain"},
    "interrupted": {"NEMESIS_LAYER": "interrupted"},
}


def subject(name: str, *, mutation: str = "") -> ServerProcess:
    """Return a server that has not been started."""
    env = {**_ENVIRONMENT.get(name, {}), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    if mutation:
        env["NEMESIS_MUTATION"] = mutation
    return ServerProcess((sys.executable, "-m", *SUBJECTS[name]), cwd=ROOT, env=env)
