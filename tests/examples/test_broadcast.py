"""The broadcast example on a real server, and the questions that its short program raises."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests.examples.serving import Server, serve_app

MB = 1024 * 1024


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve_app("examples.broadcast.app:app") as server:
        yield server


async def test_every_text_reaches_all_and_the_sender(server: Server) -> None:
    """One client's text is everybody's, word for word behind what the server puts before it."""
    async with connect(f"{server.ws}/ws") as ada, connect(f"{server.ws}/ws") as bob:
        await bob.send("ready")
        assert await ada.recv() == "Server received: ready"
        assert await bob.recv() == "Server received: ready"

        await ada.send("Grüße 👋")

        assert await ada.recv() == "Server received: Grüße 👋"
        assert await bob.recv() == "Server received: Grüße 👋"


async def test_messages_sent_in_a_row_are_not_lost(server: Server) -> None:
    """What is sent while the program is busy waits in order, also right behind the handshake."""
    texts = [f"{number}" for number in range(3000)]
    async with connect(f"{server.ws}/ws") as listener:
        await listener.send("ready")
        assert await listener.recv() == "Server received: ready"
        async with connect(f"{server.ws}/ws") as sender:
            for text in texts:
                await sender.send(text)

            for client in (sender, listener):
                assert [f"Server received: {text}" for text in texts] == [await client.recv() for _ in texts]


@pytest.mark.skipif(sys.platform != "linux", reason="reads CPU time from /proc")
async def test_waiting_does_not_spin(server: Server) -> None:
    """With nobody saying anything the server does next to nothing: it is woken, it does not look."""
    async with connect(f"{server.ws}/ws") as ada, connect(f"{server.ws}/ws") as bob:
        await bob.send("ready")
        await ada.recv()
        before = _cpu_seconds(server.pid)

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2.0):
                await ada.recv()

        # A loop that spins would have used all of the two seconds. uvicorn wakes ten times a second anyway.
        assert _cpu_seconds(server.pid) - before < 0.2


async def test_large_image_is_no_problem(server: Server) -> None:
    """Four megabytes, twenty times the receive buffer of a socket, arrive byte for byte, and many in a row."""
    images = [os.urandom(4 * MB) for _ in range(12)]
    async with (
        connect(f"{server.ws}/ws", max_size=5 * MB, compression=None) as ada,
        connect(f"{server.ws}/ws", max_size=5 * MB, compression=None) as bob,
    ):
        await bob.send("ready")
        await ada.recv()
        await bob.recv()

        async def receive(client: ClientConnection) -> list[str]:
            return [_digest(await client.recv()) for _ in images]

        receiving = asyncio.gather(receive(ada), receive(bob))
        for image in images:
            await ada.send(image)

        for received in await receiving:
            assert received == [_digest(image) for image in images]


async def test_client_that_goes_rudely_disturbs_nobody(server: Server) -> None:
    """A socket that vanishes in the middle is let go, and the others talk on."""
    async with connect(f"{server.ws}/ws") as ada:
        await ada.send("ready")
        await ada.recv()
        rude = await connect(f"{server.ws}/ws")
        await rude.send("I was here")
        assert await ada.recv() == "Server received: I was here"
        rude.transport.abort()

        await ada.send("still here")

        assert await ada.recv() == "Server received: still here"


def _cpu_seconds(pid: int) -> float:
    # Fields 14 and 15 of proc(5), counted behind the name in parentheses, which may hold spaces.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _digest(message: str | bytes) -> str:
    assert isinstance(message, bytes)
    return hashlib.sha256(message).hexdigest()
