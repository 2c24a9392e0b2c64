"""The parts in C, compiled when they are first needed, where a compiler is there."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

__all__ = ("build_counter", "build_floor", "build_pump", "compiler")

_HERE = Path(__file__).parent
_OUT = _HERE.parent.parent / ".cache" / "bench"


def compiler() -> str | None:
    """Return the C compiler, or None."""
    named = os.environ.get("CC")
    return next(filter(None, map(shutil.which, [named] if named else ["cc", "gcc", "clang"])), None)


@cache
def build_counter() -> Path | None:
    """Return the library that counts system calls, or None where it cannot be built."""
    return _build("counter.c", "counter.so", "-shared", "-fPIC", "-ldl")


@cache
def build_pump() -> Path | None:
    """Return the library that reads for the load, or None where it cannot be built."""
    return _build("pump.c", "pump.so", "-shared", "-fPIC")


@cache
def build_floor() -> Path | None:
    """Return the program of the kernel's floor, or None where it cannot be built."""
    return _build("floor.c", "floor")


def _build(source: str, target: str, *flags: str) -> Path | None:
    command = compiler()
    if command is None:
        return None
    out = _OUT / target
    if not out.exists() or out.stat().st_mtime < (_HERE / source).stat().st_mtime:
        _OUT.mkdir(parents=True, exist_ok=True)
        built = subprocess.run(
            [command, "-O2", "-o", str(out), str(_HERE / source), *flags],
            capture_output=True,
            text=True,
            check=False,
        )
        if built.returncode:
            return None
    return out
