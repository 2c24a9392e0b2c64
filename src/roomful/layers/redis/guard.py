"""The guard of an embedded server: a process between it and whoever owns it.

It is run as a script, so that it starts at once and holds little: `python guard.py FOLDER COMMAND…`. It starts the
command again whenever that dies, and ends it and removes the folder once its standard input is closed, which happens
however the owner ends. Where the system can (Linux), the server dies with the guard too.
"""

from __future__ import annotations

import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
import time

__all__ = ()

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_PAUSE_S = 0.1  # between two starts, so that a command that cannot run does not spin
_END_S = 2.0
_LOOK_S = 0.05


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _is_owned(timeout_s: float) -> bool:
    ready, _, _ = select.select([0], [], [], timeout_s)
    return not ready or bool(os.read(0, 1))


def _watch(command: list[str]) -> None:
    """Keep the command running until the owner has gone."""
    while True:
        # This process has one thread, in which running code between fork and exec is safe.
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=_die_with_parent)  # noqa: PLW1509, S603
        try:
            while process.poll() is None:
                if not _is_owned(_LOOK_S):
                    return
        finally:
            process.terminate()
            try:
                process.wait(_END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        time.sleep(_PAUSE_S)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        _watch(sys.argv[2:])
    finally:
        shutil.rmtree(sys.argv[1], ignore_errors=True)
