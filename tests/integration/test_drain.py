"""A real `roomful serve` that is told to stop: what is under way ends well, everybody is told, and it always stops."""

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import websockets
from websockets.asyncio.client import ClientConnection, connect

ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def serving() -> AsyncGenerator[tuple[asyncio.subprocess.Process, str]]:
    """Run the server; yield its process and its address."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "roomful", "serve", "tests.integration.draining:app", "--port", "0",
        cwd=ROOT, env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    try:
        async with asyncio.timeout(30):
            while not (found := re.search(rb"http://127.0.0.1:(\d+)", await process.stderr.readline())):
                pass
        yield process, f"ws://127.0.0.1:{int(found[1])}/ws"
    finally:
        if process.returncode is None:
            process.kill()
        _, rest = await process.communicate()
    assert b"Traceback" not in rest, rest.decode()


async def joined(client: ClientConnection) -> None:
    assert json.loads(await client.recv())["type"] == "roomful.joined"


async def ask(client: ClientConnection, type_: str) -> None:
    await client.send(json.dumps({"type": type_, "id": 1}))


async def end_of(client: ClientConnection) -> tuple[list[object], int]:
    """Return the replies that still came, and the code at the end."""
    replies = []
    try:
        while True:
            replies.append(json.loads(await client.recv()).get("data"))
    except websockets.ConnectionClosed:
        assert client.close_code is not None
        return replies, client.close_code


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
async def test_what_is_under_way_is_finished_and_answered(how: signal.Signals) -> None:
    """A client whose handler runs gets its reply, then *come back*; one that waits for nothing is told at once."""
    async with asyncio.timeout(40), serving() as (process, url):
        async with connect(url) as busy, connect(url) as idle:
            await joined(busy)
            await joined(idle)
            await ask(busy, "work")
            await ask(idle, "go on")
            assert "reply" in json.loads(await idle.recv())
            process.send_signal(how)
            assert await end_of(idle) == ([], 4001)
            assert await end_of(busy) == (["done"], 4001)
        await process.wait()


async def test_nobody_new_comes_in() -> None:
    """The door is shut while others finish."""
    async with asyncio.timeout(40), serving() as (process, url):
        async with connect(url) as busy, connect(url) as idle:
            await joined(busy)
            await joined(idle)
            await ask(busy, "work")
            process.send_signal(signal.SIGTERM)
            assert await end_of(idle) == ([], 4001)
            with pytest.raises((OSError, websockets.InvalidHandshake, EOFError)):
                await connect(url, open_timeout=1.5)
            assert await end_of(busy) == ([], 4001)
        await process.wait()


async def test_a_handler_that_hangs_and_a_client_that_reads_nothing_do_not_hold_it_up() -> None:
    """Both have their time, and no more."""
    async with (
        asyncio.timeout(60),
        serving() as (process, url),
        connect(url) as hanging,
        connect(url) as deaf,
    ):
        await joined(hanging)
        await ask(hanging, "hang")
        deaf.transport.pause_reading()
        process.send_signal(signal.SIGTERM)
        await process.wait()
        deaf.transport.abort()
