"""One program three ways: all three do the same, and the report says of the figures what they say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from examples.three_ways.experiment import QUICK, SCHEMA, experiment
from examples.three_ways.report import html, markdown
from examples.three_ways.servers import SERVERS
from tests.examples.serving import ROOT, serve_app
from tests.probe.page_reader import EVIL, Page

APPS = {
    "fastapi_loop": "/images",
    "channels_group": "/ws",
    "roomful_room": "/ws",
}


@pytest.mark.parametrize("name", APPS)
async def test_every_client_gets_what_one_sends(name: str) -> None:
    """Texts with a few words before them, images as they are."""
    image = bytes(range(256)) * 400
    with serve_app(f"examples.three_ways.{name}:app") as server:
        async with connect(f"{server.ws}/ws") as ada, connect(f"{server.ws}/ws") as bob:
            await ada.send("Hello")
            assert [await each.recv() for each in (ada, bob)] == ["Server received: Hello"] * 2
        path = APPS[name]
        async with connect(f"{server.ws}{path}") as ada, connect(f"{server.ws}{path}") as bob:
            await bob.send(image)
            assert [await each.recv() for each in (ada, bob)] == [image] * 2


async def test_an_image_ends_a_connection_that_reads_texts() -> None:
    """`receive_text` is what most programs call; a message of bytes is an error there, with a traceback in the log."""

    async def send_an_image() -> None:
        with serve_app("examples.three_ways.fastapi_loop:app") as server:
            async with connect(f"{server.ws}/ws") as client:
                await client.send(b"\x89PNG")
                with pytest.raises(ConnectionClosed):
                    await client.recv()

    # Serving looks into the log in the end.
    with pytest.raises(AssertionError, match="receive_text"):
        await send_an_image()


def load(number: int, size: int, *, lost: int = 0, closed: int = 0, reason: str = "") -> dict[str, Any]:
    return {
        "number": number,
        "size": size,
        "owed": 4 * number,
        "arrived": 4 * number - lost,
        "counts": {
            "delivered": 4 * number - lost,
            "lost": 0 if closed else lost,
            "in doubt": lost if closed else 0,
        },
        "closes": [{"code": 1009, "reason": reason}] if closed else [],
        "closed": closed,
        "max_s": 0.5,
    }


def figures() -> dict[str, Any]:
    """What an experiment leaves: one that is sound, one that drops, one that has a size limit, one left out."""
    cells = [{"size": 262144, "clients": 10, "good_rate": 100.0, "bad_rate": None, "kind": "at_least"}]
    search = {"cells": cells, "cliffs": [{"dimension": "size", "good": 2048}], "memory_bytes": 50 << 20}
    whole = {"owed": 320, "arrived": 320, "counts": {}}
    names = {
        "fastapi": "FastAPI: a loop",
        "channels-memory": "Channels: a group",
        "limited": "Limited: a limit",
    }
    bursts = {
        "fastapi": [load(100, 1024), load(300, 1024), load(300, 4096)],
        "channels-memory": [load(100, 1024), load(300, 1024, lost=400), load(300, 4096, lost=500)],
        "limited": [load(100, 1024), load(300, 1024), load(100, 4096, lost=400, closed=4, reason=EVIL)],
    }
    servers: list[dict[str, Any]] = [
        {
            "name": name,
            "title": title,
            "command": "-m server",
            "lines": 20,
            "bursts": bursts[name],
            "search": search,
            "costs": [{"size": 1024, "cpu_s": 12e-6, "outcome": "good"}],
            "shared": whole if name != "limited" else {"failure": "MemoryLayer reaches one process"},
            "diagnoses": [
                {"label": label, "cause": "queue_newest", "status": "supported", "sentence": "A queue drops."}
                for label in ("300 at once", "1000 at once")
            ]
            if name == "channels-memory"
            else [],
        }
        for name, title in names.items()
    ]
    servers.append({"name": "gone", "title": "Gone: not here", "left_out": "a package"})
    return {
        "schema": SCHEMA,
        "machine": {"cpu": "A CPU", "cores": 2},
        "clients": 4,
        "plan": {
            "sizes": [1024, 4096],
            "numbers": [100, 300],
            "most_bytes": 1 << 20,
            "patience": "30s",
            "search_s": 6,
        },
        "servers": servers,
        "buffers": {"answer": "A full buffer loses nothing.", "runs": [], "server": {}},
    }


@pytest.mark.parametrize("make", [lambda: Page(html(figures())).text, lambda: markdown(figures())])
def test_the_report_says_who_loses_what_and_why(make: Any) -> None:
    """The sentence, the number at which it begins, what is full, and the words of the probe."""
    text = make()
    assert "Channels loses images in silence from 300 at once on, whatever their size" in text
    assert "FastAPI and Limited lose none so." in text
    assert "Limited: a limit closes connections, from 400 KiB at once on." in text
    assert "100 at once come whole, of 300 some are lost, of 1 KiB and 4 KiB alike" in text
    assert "The channel layer keeps 100 messages" in text
    assert "A message of 2,048 bytes passes, a larger one ends the connection" in text
    assert text.count("A queue drops.") == 1
    assert "12 µs (1 KiB)" in text
    assert "refuses to start so" in text
    assert "A full buffer loses nothing." in text
    assert "<script" not in text.replace("\\<", "")


def test_the_report_is_whole_without_figures() -> None:
    """An experiment that could start no server leaves a page that says so."""
    assert "No server could be measured." in Page(html({})).text
    assert "No server could be measured." in markdown({})


def test_the_committed_report_is_made_of_its_figures() -> None:
    """Page and Markdown are what the program makes of the JSON beside them."""
    folder = ROOT / "docs" / "reports"
    found = json.loads((folder / "images.json").read_text())
    assert (folder / "images.html").read_text() == html(found)
    assert (folder / "images.md").read_text() == markdown(found)


def test_the_report_can_be_made_again(tmp_path: Path) -> None:
    """`--again` measures nothing."""
    (tmp_path / "images.json").write_text(json.dumps(figures()))
    command = [sys.executable, "-m", "examples.three_ways", "--again", "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "wrote" in done.stdout
    assert sorted(each.name for each in tmp_path.iterdir()) == ["images.html", "images.json", "images.md"]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_experiment_finds_what_channels_loses(tmp_path: Path) -> None:
    """Two servers of the five, two sizes, two numbers: a hundred messages fit into a channel layer, 300 do not."""
    found = experiment(QUICK, only=("fastapi", "channels-memory"), keep=tmp_path)
    fastapi, channels = found["servers"]  # type: ignore[misc]  # JSON
    assert [each["counts"]["lost"] for each in fastapi["bursts"]] == [0, 0, 0, 0]
    assert [each["counts"]["lost"] > 0 for each in channels["bursts"]] == [False, False, True, True]
    assert fastapi["shared"]["arrived"] < fastapi["shared"]["owed"]
    assert {server.name for server in SERVERS} >= {fastapi["name"], channels["name"]}
