"""The end of a connection: `disconnect` runs once with the code, whichever way it ends, and nothing is left."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, ClassVar

import pytest

from roomful import Consumer, Event, HubClosed, Limits, on
from roomful.testing import Client, ConnectionClosed

from .conftest import Serve
from .site import Site
from .waiting import until

QUICK = Limits(handler_grace_s=0.05, cancel_timeout_s=0.05)


class Witness(Consumer):
    """Notes its end; the class is made anew for each test."""

    ends: ClassVar[list[tuple[str, int]]]
    is_stuck: ClassVar[asyncio.Event]

    async def connect(self) -> None:
        await self.join("room")
        await self.send(Event("id", self.id))

    @on("close")
    async def leave_now(self, data: int) -> None:
        await self.close(data, "as you wish")

    @on("stick")
    async def stick(self) -> None:
        self.is_stuck.set()
        await asyncio.Event().wait()

    @on("stick fast")
    async def stick_fast(self) -> None:
        self.is_stuck.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await self.hub.push("elsewhere", "cancelled")

    async def disconnect(self, code: int) -> None:
        self.ends.append((self.id, code))


@pytest.fixture
async def witness() -> AsyncIterator[type[Witness]]:
    """Give a class of its own to the test; every connection ended once."""

    class Fresh(Witness):
        ends: ClassVar[list[tuple[str, int]]] = []
        is_stuck = asyncio.Event()

    yield Fresh
    ids = [id_ for id_, _ in Fresh.ends]
    assert len(set(ids)) == len(ids), f"disconnect ran more than once: {Fresh.ends}"


async def enter(client: Client) -> Any:
    """Wait until a client is a member; return its id."""
    await client.receive_event("roomful.joined")
    return (await client.receive_event("id")).data


async def ends_of(site: Site, witness: type[Witness], count: int = 1) -> list[int]:
    """Wait until so many connections have ended, with everything; return their codes."""
    await until(lambda: len(witness.ends) >= count)
    await site.idle()
    return [code for _, code in witness.ends]


@pytest.mark.parametrize("code", [1000, 1001, 3000, 4999])
async def test_client_closes(serve: Serve, witness: type[Witness], code: int) -> None:
    """The consumer learns the client's code."""
    site = await serve(witness)
    async with site.connect() as client:
        await enter(client)
        await client.close(code, "bye")

    assert await ends_of(site, witness) == [code]


async def test_client_aborts(serve: Serve, witness: type[Witness]) -> None:
    """A client that drops its socket has left its rooms; servers tell it in two ways."""
    site = await serve(witness)
    async with site.connect() as client:
        await enter(client)
        client.abort()

    # uvicorn's classes say 1005 for a socket that ended without a close frame.
    assert await ends_of(site, witness) in ([1006], [1005])


async def test_consumer_closes(serve: Serve, witness: type[Witness]) -> None:
    """The client learns code and reason, and gets what stood before."""
    site = await serve(witness)
    async with site.connect() as client:
        await enter(client)
        await client.send(Event("close", 4502), id=1)
        with pytest.raises(ConnectionClosed, match="4502"):
            await client.receive()
        assert client.close_reason == "as you wish"

    assert await ends_of(site, witness) == [4502]


async def test_hub_disconnects(serve: Serve, witness: type[Witness]) -> None:
    """A connection is closed by its id, behind what was written to it; others go on."""
    site = await serve(witness)
    async with site.connect() as client, site.connect() as other:
        id_ = await enter(client)
        await enter(other)
        pushed = [site.hub.push_nowait("room", Event("last", n)) for n in range(3)]
        await site.hub.disconnect(id_, 4500, "signed out")
        for number in range(3):
            assert (await client.receive_event("last")).data == number
            assert (await other.receive_event("last")).data == number
        with pytest.raises(ConnectionClosed, match="4500"):
            await client.receive()
        await site.hub.push("room", Event("after"))
        await other.receive_event("after")
        await asyncio.gather(*pushed)

    assert sorted(await ends_of(site, witness, 2)) == [1000, 4500]


async def test_hub_closes(serve: Serve, witness: type[Witness]) -> None:
    """Every client learns that the server goes away, after what was pushed before; then nothing can be pushed."""
    site = await serve(witness)
    async with site.connect() as one, site.connect() as two:
        await enter(one)
        await enter(two)
        last = site.hub.push_nowait("room", Event("last"))
        await site.hub.close()
        assert last.done()
        for client in (one, two):
            await client.receive_event("last")
            assert await client.wait_closed() == 1001
        with pytest.raises(HubClosed):
            await site.hub.push("room", Event("too late"))

    assert await ends_of(site, witness, 2) == [1001, 1001]


async def test_server_stops(serve_network: Serve, witness: type[Witness]) -> None:
    """The server closes the sockets by itself before the hub learns of it; `disconnect` runs all the same."""
    site = await serve_network(witness)
    async with site.connect() as one, site.connect() as two:
        await enter(one)
        await enter(two)
        assert site.server is not None
        await site.server.stop()
        assert await one.wait_closed() in (1001, 1012, 4001)
        assert await two.wait_closed() in (1001, 1012, 4001)

    codes = await ends_of(site, witness, 2)
    assert set(codes) <= {1001, 1012, 4001}


@pytest.mark.parametrize("how", ["close", "abort"])
async def test_client_ends_while_its_handler_is_stuck(serve: Serve, witness: type[Witness], how: str) -> None:
    """The handler has a time to finish; then it is cancelled, and `disconnect` runs."""
    site = await serve(witness, limits=QUICK)
    async with site.connect() as client:
        await enter(client)
        await client.send(Event("stick"))
        await witness.is_stuck.wait()
        await (client.close() if how == "close" else asyncio.sleep(0))
        if how == "abort":
            client.abort()

    assert await ends_of(site, witness) in ([1000], [1005], [1006])


async def test_handler_that_ignores_its_cancellation(serve: Serve, witness: type[Witness]) -> None:
    """It may still push when it is cancelled; `disconnect` follows it."""
    site = await serve(witness, limits=QUICK)
    async with site.connect() as client:
        await enter(client)
        await client.send(Event("stick fast"))
        await witness.is_stuck.wait()

    assert await ends_of(site, witness) == [1000]
    assert site.hub.statistics().pushes == 1


async def test_hub_closes_while_handlers_are_stuck(serve: Serve, witness: type[Witness]) -> None:
    """Closing does not wait for them longer than the limits say."""
    site = await serve(witness, limits=QUICK)
    async with site.connect() as client:
        await enter(client)
        await client.send(Event("stick"))
        await witness.is_stuck.wait()
        await site.hub.close()
        assert await client.wait_closed() == 1001

    assert await ends_of(site, witness) == [1001]


async def test_client_goes_while_connect_runs(serve: Serve) -> None:
    """`connect` is cancelled; a connection that had been accepted has its `disconnect`."""
    is_in, ends = asyncio.Event(), []

    class Slow(Consumer):
        async def connect(self) -> None:
            await self.accept()
            is_in.set()
            await asyncio.Event().wait()

        async def disconnect(self, code: int) -> None:
            ends.append(code)

    site = await serve(Slow)
    async with site.connect() as client:
        await is_in.wait()
        await client.close(4000)
    await site.idle()

    assert ends == [4000]


async def test_messages_in_a_row_and_then_a_close_are_all_handled(serve: Serve) -> None:
    """A client may say everything and go: every message is handled, in order, before `disconnect`."""
    handled: list[object] = []
    count = 300

    class Slow(Consumer):
        @on("n")
        async def number(self, data: int) -> None:
            if data % 50 == 0:
                await asyncio.sleep(0.001)
            handled.append(data)

        async def disconnect(self) -> None:
            handled.append("disconnect")

    site = await serve(Slow)
    async with site.connect() as client:
        for number in range(count):
            await client.send(Event("n", number))
        await client.close()
    await until(lambda: "disconnect" in handled)

    assert handled == [*range(count), "disconnect"]
    assert site.hub.statistics().unhandled == 0


async def test_disconnect_may_push_and_fail(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """Others learn that somebody left; an error in `disconnect` is logged and disturbs nobody."""

    class Leaver(Consumer):
        async def connect(self) -> None:
            await self.join("room")

        async def disconnect(self) -> None:
            await self.hub.push("room", Event("left"))
            raise LookupError("failed at the end")

    site = await serve(Leaver)
    async with site.connect() as stays:
        await stays.receive_event("roomful.joined")
        async with site.connect() as leaves:
            await leaves.receive_event("roomful.joined")
        await stays.receive_event("left")
    await site.idle()

    assert caplog.text.count("LookupError: failed at the end") == 2
