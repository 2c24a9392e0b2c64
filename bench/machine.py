"""The machine and the versions: what every figure is to be read with."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from pathlib import Path

from bench.native import compiler

__all__ = ("describe", "load_average")

_PACKAGES = (
    "uvicorn", "uvloop", "httptools", "fastapi", "starlette", "websockets", "picows", "socketify", "channels",
    "channels_redis", "python-socketio", "redis", "hiredis", "msgspec",
)  # fmt: skip
_ASK = (
    "import importlib.metadata as m, json, platform, sys\n"
    "def version(name):\n"
    "    try: return m.version(name)\n"
    "    except m.PackageNotFoundError: return None\n"
    "print(json.dumps({'python': platform.python_implementation() + ' ' + platform.python_version(),"
    " **{name: version(name) for name in sys.argv[1:]}}))"
)


def describe(python: str) -> dict[str, object]:
    """Return what the machine is, and the versions of what the servers run on."""
    asked = subprocess.run([python, "-c", _ASK, *_PACKAGES], capture_output=True, text=True, check=True)
    return {
        "machine": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
            "kernel": f"{platform.system()} {platform.release()}",
            "virtual": "hypervisor" in _flags(),
        },
        "versions": {name: version for name, version in json.loads(asked.stdout).items() if version},
        "commit": _output("git", "rev-parse", "--short", "HEAD"),
        "compiler": _output(compiler() or "false", "--version").partition("\n")[0],
    }


def load_average() -> float:
    """Return the machine's load over the last minute."""
    return os.getloadavg()[0]


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def _flags() -> list[str]:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("flags"):
            return line.split()
    return []


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return ""
