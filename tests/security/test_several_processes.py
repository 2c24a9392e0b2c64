"""Several processes on one Redis: a ticket holds once among all of them, and an alarm reaches its user's process."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from roomful import Event, Producer
from tests.examples.serving import ROOT, Server, running
from tests.layers.servers import BINARIES
from tests.layers.servers import Server as Redis

HANDSHAKES = 40
KEY = "a key that is long enough, and that all processes of the example share"


@pytest.fixture(scope="module")
def redis() -> Iterator[Redis]:
    binary = BINARIES.get("redis") or BINARIES.get("valkey")
    if binary is None:
        pytest.skip("no Redis or Valkey server is installed")
    with Redis(binary) as running:
        yield running


@pytest.fixture(scope="module")
def doors(redis: Redis) -> Iterator[list[Server]]:
    """Three processes with the same door."""
    environment = {"ROOMFUL_LAYER": f"{redis.url}?prefix=doors"}
    command = [sys.executable, "-m", "roomful", "serve", "tests.security.node_app:app"]
    with ExitStack() as stack:
        yield [stack.enter_context(running(command, environment)) for _ in range(3)]


@pytest.fixture(scope="module")
def alarms(redis: Redis) -> Iterator[tuple[Server, Server, str]]:
    """Two processes of the example, one of which knows of the other only by the layer; and the layer's URL."""
    url = f"{redis.url}?prefix=alarms"
    environment = {"ALARMS_LAYER": url, "ALARMS_KEY": KEY}
    command = [sys.executable, "-m", "roomful", "serve", "examples.alarms.app:app"]
    with running(command, environment) as one, running(command, environment) as two:
        yield one, two, url


def ticket_of(server: Server, who: str) -> str:
    with urllib.request.urlopen(f"{server.http}/{who}", timeout=10) as answer:
        ticket: str = answer.read().decode()
        return ticket


async def frame(socket: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(10):
        found: dict[str, Any] = json.loads(await socket.recv())
        return found


async def test_ticket_admits_one_of_many_at_two_other_processes(doors: list[Server]) -> None:
    """One process issues it; of forty handshakes at the two others at once one is let in, as whom it was issued for."""
    issuer, *others = doors
    ticket = ticket_of(issuer, "ada")
    at_once = asyncio.Barrier(HANDSHAKES)

    async def attempt(number: int) -> str:
        await at_once.wait()
        try:
            async with connect(f"{others[number % 2].ws}/ws?ticket={ticket}", open_timeout=20) as socket:
                while (found := await frame(socket))["type"] != "hello":
                    pass
                return str(found["data"])
        except InvalidStatus as refused:
            return str(refused.response.status_code)

    answers = Counter(await asyncio.gather(*(attempt(number) for number in range(HANDSHAKES))))

    assert answers == {"ada": 1, "401": HANDSHAKES - 1}
    with pytest.raises(InvalidStatus):
        await connect(f"{issuer.ws}/ws?ticket={ticket}")


async def test_principal_is_sent_away_from_every_process(doors: list[Server]) -> None:
    """With one call in one process; nobody else's connection ends, and who comes again with a new ticket is in."""

    async def come(door: Server, who: str) -> ClientConnection:
        socket = await connect(f"{door.ws}/ws?ticket={ticket_of(door, who)}")
        while (await frame(socket))["type"] != "hello":
            pass
        return socket

    hers = [await come(door, "ada") for door in doors for _ in range(2)]
    his = [await come(door, "bob") for door in doors]
    order = {"who": "ada", "code": 4555, "reason": "blocked"}
    await his[0].send(json.dumps({"type": "revoke", "data": order, "id": 1}))
    assert (await frame(his[0]))["reply"] == 1

    for socket in hers:
        with pytest.raises(ConnectionClosed) as closed:
            await frame(socket)
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4555, "blocked")
    again = await come(doors[1], "ada")
    for socket in (*his, again):
        await socket.send('{"type":"issue","data":"eve","id":2}')
        assert (await frame(socket))["reply"] == 2
        await socket.close()


def token_of(server: Server, user: str) -> str:
    asked = urllib.request.Request(
        f"{server.http}/login", json.dumps({"user": user}).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(asked, timeout=10) as answer:
        token: str = json.load(answer)["token"]
        return token


def listen(server: Server, user: str, token: str) -> connect:
    protocols = [Subprotocol("roomful"), Subprotocol(f"roomful.token.{token}")]
    return connect(f"{server.ws}/ws/alarms/{user}", subprotocols=protocols)


async def test_alarm_of_another_process_reaches_its_user_and_nobody_else(
    alarms: tuple[Server, Server, str],
) -> None:
    """By `roomful push` and by a `Producer`; a token of one process is good at the other."""
    one, two, url = alarms
    ada, bob = token_of(one, "ada"), token_of(two, "bob")
    async with (
        listen(one, "ada", ada) as at_one,
        listen(two, "ada", ada) as at_two,
        listen(one, "bob", bob) as other,
    ):
        for socket in (at_one, at_two, other):
            assert (await frame(socket))["type"] == "roomful.joined"
        event = json.dumps({"type": "alarm", "data": {"text": "The kettle boils"}})
        command = [sys.executable, "-m", "roomful", "push", url, "alarms:ada", event]
        await asyncio.to_thread(
            subprocess.run, command, check=True, cwd=ROOT, env={**os.environ}, capture_output=True, timeout=30
        )
        async with Producer(url) as producer:
            await producer.apush("alarms:ada", Event("alarm", {"text": "It still does"}))
            await producer.apush("alarms:bob", Event("alarm", {"text": "The tea is ready"}))

        for socket in (at_one, at_two):
            texts = [(await frame(socket))["data"]["text"] for _ in range(2)]
            assert texts == ["The kettle boils", "It still does"]
        # All of one producer comes in its order: were any of Ada's alarms his, it would have come before.
        assert (await frame(other))["data"]["text"] == "The tea is ready"
