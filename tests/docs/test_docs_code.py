"""Code in the documentation is that of a file that is tested, or is run here."""

from __future__ import annotations

import ast
import asyncio
import inspect
import json
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from roomful import Consumer, Hub
from roomful.testing import Client, connect

from .pages import ROOT, Block, blocks

NEEDS_A_TEST = {"python", "html", "js"}


def test_code_says_what_it_is() -> None:
    """No program stands in a page without a test that holds it to something."""
    unmarked = [
        str(block)
        for block in blocks()
        if (block.language in NEEDS_A_TEST and not block.kind)
        or block.kind not in ("", "file", "part of", "run", "program", "transcript")
    ]

    assert unmarked == []


@pytest.mark.parametrize("block", blocks("file", "part of"), ids=str)
def test_code_is_that_of_its_file(block: Block) -> None:
    """A block is its file, or lines of it that follow each other."""
    whole = (ROOT / block.argument).read_text()

    if block.kind == "file":
        assert block.code == whole
    else:
        assert f"\n{block.code}" in f"\n{whole}", f"{block} is not in {block.argument}"


@pytest.mark.parametrize("block", blocks("run"), ids=str)
def test_code_runs(block: Block) -> None:
    """A program that stands in a page alone does what it does without an error."""
    compiled = compile(block.code, str(block), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    # Its annotations are read as those of a module.
    result = eval(compiled, {"__name__": "documentation"})
    if inspect.iscoroutine(result):
        asyncio.run(result)


@pytest.mark.parametrize("block", blocks("transcript"), ids=str)
async def test_transcript_is_what_is_said(block: Block) -> None:
    """Each line goes out, or comes next, as it stands there; of a position the number counts."""
    source, _, address = block.argument.partition(" ")
    hub, app = _application(ROOT / source, address)

    async with hub, connect(app, address) as client:
        for line in block.code.splitlines():
            direction, _, message = line.partition(" ")
            if direction == "→":
                await client.send(message)
            else:
                assert direction == "←"
                assert _without_epochs(message) == await _said(client), f"{block}: {line}"
        with pytest.raises(TimeoutError):
            await client.receive(timeout_s=0.05)


def _application(source: Path, address: str) -> tuple[Hub, Any]:
    if source.is_dir():
        program = runpy.run_path(str(source / "app.py"))
        return program["hub"], program["app"]
    program = runpy.run_path(str(source))
    consumer: type[Consumer] = program["apps"][address]
    return program["hub"], consumer.as_asgi(hub=program["hub"])


async def _said(client: Client) -> str:
    raw = (await client.receive()).raw
    assert isinstance(raw, str)
    return _without_epochs(raw)


def _without_epochs(message: str) -> str:
    message = re.sub(r'("(?:pos|at)":")[^":]+:', r"\1epoch:", message)
    return re.sub(r'("epoch":")[^"]+"', r'\1epoch"', message)


def test_transcripts_are_json_where_they_look_like_it() -> None:
    """A line that begins like JSON and is none would be there on purpose; there is none."""
    for block in blocks("transcript"):
        for line in block.code.splitlines():
            if line[2:].startswith("{"):
                json.loads(line[2:])


def test_tests_of_the_how_to_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests that a page shows pass beside the tutorial's chat, one after the other on the same hub."""
    for source in ("tutorial/code/3_images/app.py", "how-to/code/test_chat.py"):
        shutil.copy(ROOT / "docs" / source, tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "app", raising=False)
    shown = runpy.run_path(str(tmp_path / "test_chat.py"))
    tests = [shown[name] for name in shown if name.startswith("test_")]

    for test in tests:
        result = test()
        if inspect.iscoroutine(result):
            asyncio.run(result)

    monkeypatch.delitem(sys.modules, "app")
    assert len(tests) == 5


async def test_bare_application_of_the_how_to_works() -> None:
    """Prices that one client sends reach whoever watches the symbol."""
    program = runpy.run_path(str(ROOT / "docs/how-to/code/bare.py"))

    async with (
        program["hub"],
        connect(program["app"], "/ticker/ACME") as watcher,
        connect(program["app"], "/prices") as source,
    ):
        await source.send('{"ACME":7.5,"OTHER":1}')
        assert (await watcher.receive()).raw == '{"type":"price","data":7.5}'


def test_refused_workers_are_told_as_the_page_says(tmp_path: Path) -> None:
    """The page's transcript of the refusal is what the command prints."""
    page = (ROOT / "docs/how-to/serve.md").read_text()
    shutil.copy(ROOT / "docs/how-to/code/bare.py", tmp_path / "app.py")

    ran = subprocess.run(
        [sys.executable, "-m", "roomful", "serve", "app:app", "--workers", "2", "--layer", "memory://"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert ran.returncode == 1
    assert ran.stderr.strip() in page
