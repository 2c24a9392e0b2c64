"""Servers in processes of their own, for tests that measure."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PLANTED = Path(__file__).parent / "servers" / "planted.py"


@pytest.fixture
def planted() -> Iterator[Callable[..., str]]:
    """Start a planted server with options such as `"--max-size", "5000"`; return its URL."""
    processes: list[subprocess.Popen[str]] = []

    def start(*options: str) -> str:
        process = subprocess.Popen(
            [sys.executable, str(PLANTED), *options], stdout=subprocess.PIPE, text=True
        )
        processes.append(process)
        assert process.stdout is not None
        return process.stdout.readline().strip()

    yield start
    for process in processes:
        process.terminate()
        process.wait(5)
        assert process.stdout is not None
        process.stdout.close()
