"""How many processes a server runs, as one of them sees it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from uvicorn import Config

from roomful.assembly.workers import announced_workers, count_workers


@pytest.fixture(autouse=True)
def _nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ROOMFUL_WORKERS", raising=False)
    monkeypatch.delenv("WEB_CONCURRENCY", raising=False)
    monkeypatch.setattr(sys, "argv", ["pytest"])


def test_process_that_is_told_nothing_counts_one() -> None:
    assert count_workers() == announced_workers() == 1


@pytest.mark.parametrize(
    ("ours", "others", "count"), [("1", "4", 1), ("3", "1", 3), ("", "4", 4), ("x", "y", 1)]
)
def test_what_roomful_serve_says_counts_before_the_shell(
    monkeypatch: pytest.MonkeyPatch, ours: str, others: str, count: int
) -> None:
    monkeypatch.setenv("ROOMFUL_WORKERS", ours)
    monkeypatch.setenv("WEB_CONCURRENCY", others)
    assert count_workers() == count


@pytest.mark.parametrize(
    ("command", "count"),
    [
        (["/usr/bin/gunicorn", "-w", "4", "app:app"], 4),
        (["/site-packages/gunicorn/__main__.py", "--workers=2", "app:app"], 2),
        (["hypercorn", "--workers", "3", "app:app"], 3),
        (["granian", "app:app"], 1),
        (["gunicorn", "-w"], 1),
        (["myprogram", "-w", "4"], 1),
        ([], 1),
    ],
)
def test_command_line_of_other_servers(
    monkeypatch: pytest.MonkeyPatch, command: list[str], count: int
) -> None:
    monkeypatch.setattr(sys, "argv", command)
    assert count_workers() == count


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        ({"config": Config("app:app", workers=3)}, 3),
        ({"config": Config("app:app", reload=True)}, 1),
        ({"config": SimpleNamespace(workers=3)}, 1),
        ({}, 1),
    ],
)
def test_settings_that_uvicorn_has_given_to_a_process(
    monkeypatch: pytest.MonkeyPatch, arguments: dict[str, object], count: int
) -> None:
    monkeypatch.setattr(multiprocessing, "parent_process", object)
    monkeypatch.setattr(multiprocessing.current_process(), "_kwargs", arguments, raising=False)
    assert count_workers() == count


APP = """
from roomful import Hub

hub = Hub({})

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        try:
            await hub.start()
        except Exception as error:
            await send({{"type": "lifespan.startup.failed", "message": str(error)}})
        else:
            await send({{"type": "lifespan.startup.complete"}})
            await receive()
            await send({{"type": "lifespan.shutdown.complete"}})
"""


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("", "MemoryLayer reaches one process and the server runs 2"),
        ("shared=False", "Application startup complete"),
    ],
)
def test_uvicorn_with_workers_and_a_layer_of_one_process(tmp_path: Path, options: str, said: str) -> None:
    """Without this the rooms would be split between the workers, and nobody would know."""
    (tmp_path / "app.py").write_text(APP.format(options))
    command = [sys.executable, "-m", "uvicorn", "app:app", "--workers", "2", "--port", "0"]
    server = subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert server.stderr is not None
        assert any(said in line for line in server.stderr)
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.communicate()
