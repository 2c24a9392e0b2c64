"""Limits: how many, how fast, how much; a client beyond them harms nobody and is told."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from roomful import Admission, CloseCode, Consumer, Event, Hub, JwtAuth, on
from roomful.testing import Refused
from tests.auth.keys import SECRET, token
from tests.integration.raw import RawClient
from tests.integration.waiting import until
from tests.security.door import bearer, opened, timed, until_closed

TOLD = "roomful.audit"


class Counting(Consumer):
    """Counts what it gets."""

    handled = 0

    async def connect(self) -> None:
        await self.send(Event("hello"))

    @on("post")
    async def post(self, data: object) -> None:
        Counting.handled += 1

    @on("ask")
    async def ask(self, data: object) -> object:
        Counting.handled += 1
        return data


@pytest.fixture(autouse=True)
def _nothing_counted() -> None:
    Counting.handled = 0


def hub_with(auth: Any = (), **rules: Any) -> Hub:
    return Hub(auth=auth, admission=Admission(**rules))


async def refused(door: Any, **how: Any) -> tuple[int, str | None]:
    with pytest.raises(Refused) as caught:
        await door.connect(**how).__aenter__()
    return caught.value.status, caught.value.headers.get("retry-after")


async def test_connections_have_a_number(transport: str) -> None:
    """In all, and of an address; who leaves makes room, however it leaves."""
    for rules, status in (({"max_connections": 2}, 503), ({"max_per_address": 2}, 429)):
        async with opened(transport, hub_with(**rules), Counting) as door, door.connect() as first:
            await first.receive()
            async with door.connect() as second:
                await second.receive()
                assert await refused(door) == (status, "5")
                second.abort()
            await until(lambda: door.hub.gate._census.count == 1)
            async with door.connect() as third:
                await third.receive()


async def test_addresses_behind_a_trusted_proxy_are_apart(transport: str) -> None:
    """What the proxy says counts, what the client puts before it does not; without trust all are the proxy."""
    rules: dict[str, Any] = {"max_per_address": 1, "trusted_proxies": ("127.0.0.0/8",)}
    # uvicorn has a setting of its own for the same header; it stays out of this.
    async with (
        opened(transport, hub_with(**rules), Counting, proxy_headers=False) as door,
        door.connect(headers={"X-Forwarded-For": "198.51.100.1"}) as first,
        door.connect(headers={"X-Forwarded-For": "198.51.100.1, 198.51.100.2"}) as second,
    ):
        await first.receive()
        await second.receive()
        assert await refused(door, headers={"X-Forwarded-For": "9.9.9.9, 198.51.100.1"}) == (429, "5")

    del rules["trusted_proxies"]
    async with (
        opened(transport, hub_with(**rules), Counting, proxy_headers=False) as door,
        door.connect(headers={"X-Forwarded-For": "198.51.100.1"}) as first,
    ):
        await first.receive()
        assert await refused(door, headers={"X-Forwarded-For": "198.51.100.2"}) == (429, "5")


async def test_principal_has_a_number_of_connections(transport: str) -> None:
    """Whatever tokens it has."""
    hub = hub_with(JwtAuth(key=SECRET, algorithms=["HS256"]), max_per_principal=1)
    async with (
        opened(transport, hub, Counting) as door,
        door.connect(headers=bearer(token(x=1))) as first,
        door.connect(headers=bearer(token(sub="bob"))) as other,
    ):
        await first.receive()
        await other.receive()
        assert await refused(door, headers=bearer(token(x=2))) == (429, "5")


async def test_handshakes_have_a_rate(transport: str) -> None:
    """Guesses are handshakes too: after a burst they are not even looked at, and the right token neither."""
    hub = hub_with(JwtAuth(key=SECRET, algorithms=["HS256"]), handshakes_per_s_per_address=0.1, burst_s=50)
    async with opened(transport, hub, Counting) as door:
        answers = [(await refused(door, headers=bearer("guess")))[0] for _ in range(7)]
        assert answers == [401] * 5 + [429] * 2
        assert await refused(door, headers=bearer(token())) == (429, "5")


@timed
async def test_unfinished_authentication_has_an_end(transport: str) -> None:
    """A client that is let in to say who it is, and does not, is sent away; so is one whose issuer is silent."""

    class Silent:
        async def authenticate(self, scope: Any) -> Any:
            await asyncio.Event().wait()

    first_message = JwtAuth(key=SECRET, algorithms=["HS256"], first_message=True)
    async with (
        opened(transport, hub_with(first_message, authentication_timeout_s=0.1), Counting) as door,
        door.connect() as client,
    ):
        assert await until_closed(client) == ([], CloseCode.UNAUTHORISED, "authentication timed out")

    async with opened(transport, hub_with(Silent(), authentication_timeout_s=0.1), Counting) as door:
        assert await refused(door) == (503, "5")


@timed
async def test_flood_is_held_back_and_nothing_is_lost(transport: str) -> None:
    """Backpressure first: the client waits, every message is handled, and a neighbour does not notice."""
    hub = hub_with(messages_per_s=200, burst_s=0.25)
    async with (
        opened(transport, hub, Counting) as door,
        door.connect() as flood,
        door.connect() as neighbour,
    ):
        await flood.receive()
        await neighbour.receive()
        began = time.monotonic()
        for number in range(200):
            await flood.send(f'{{"type":"ask","data":{number},"id":{number}}}')
        await neighbour.send('{"type":"ask","data":"quick","id":1}')
        assert (await neighbour.receive()).data == "quick"
        neighbours_time = time.monotonic() - began

        assert [(await flood.receive()).data for _ in range(200)] == list(range(200))
        # 50 at once, or twice that after a pause, and 200 a second from then on.
        assert time.monotonic() - began > 0.45
        assert neighbours_time < 0.45


@timed
async def test_bytes_have_a_rate_too(transport: str) -> None:
    """Few large messages are as much as many small ones."""
    hub = hub_with(bytes_per_s=400_000, burst_s=0.25)
    async with opened(transport, hub, Counting) as door, door.connect() as client:
        await client.receive()
        began = time.monotonic()
        for number in range(3):
            await client.send(f'{{"type":"ask","data":"{"x" * 100_000}","id":{number}}}')
        for number in range(3):
            assert (await client.receive()).reply == number

        # The third is not read before the first two are paid off.
        assert time.monotonic() - began > 0.2


@timed
async def test_flood_without_end_is_closed_by_setting(transport: str) -> None:
    """Who does not pause within the time is sent away with 4502; memory stays where it was."""
    hub = hub_with(messages_per_s=50, burst_s=0.2, close_after_s=0.5)
    async with opened(transport, hub, Counting) as door:
        client = await RawClient.connect(door.port, "/")
        began = time.monotonic()
        while client.close_code is None and time.monotonic() - began < 10:
            client.send('{"type":"post"}')
            await asyncio.sleep(0.001)
        client.hang_up()

        assert client.close_code == CloseCode.POLICY

    assert 25 <= Counting.handled <= 120


async def test_limit_and_full_inbox_do_not_release_each_other(transport: str) -> None:
    """A client is read on only when its handler has room and its rate allows it; everything is handled in the end."""
    gate = asyncio.Event()

    class Slow(Consumer):
        @on("post")
        async def post(self, data: object) -> object:
            await gate.wait()
            return data

    hub = hub_with(messages_per_s=2000, burst_s=0.05)
    async with opened(transport, hub, Slow) as door, door.connect() as client:
        for number in range(300):
            await client.send(f'{{"type":"post","data":{number},"id":{number}}}')
        await until(lambda: any(not connection.reads for connection in door.hub.engine.residents))
        gate.set()

        assert [(await client.receive()).data for _ in range(300)] == list(range(300))


@timed
async def test_limits_are_told_to_the_audit_log(transport: str, caplog: pytest.LogCaptureFixture) -> None:
    """Once for a stretch of time, not once for a message."""
    caplog.set_level("INFO", TOLD)
    hub = hub_with(messages_per_s=500, burst_s=0.05)
    async with opened(transport, hub, Counting) as door, door.connect() as client:
        await client.receive()
        for number in range(100):
            await client.send(f'{{"type":"ask","id":{number}}}')
        for _ in range(100):
            await client.receive()

    told = [record for record in caplog.records if record.name == TOLD and "limited" in record.message]
    assert len(told) == 1
