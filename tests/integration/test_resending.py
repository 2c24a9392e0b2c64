"""A client that names itself, loses its connection and sends again, over real sockets."""

import asyncio

import pytest

from roomful import Consumer, Event, on
from roomful.testing import Client, Refused

from .conftest import Serve
from .waiting import until


class Shop(Consumer):
    """Sells things; what it has sold is seen in the room."""

    async def connect(self) -> None:
        await self.join("sold")

    @on("buy")
    async def buy(self, thing: str) -> str:
        await self.hub.push("sold", Event("sold", thing))
        await entered.put(thing)
        await go_on.wait()
        return thing.upper()


class Raw(Consumer, owns_wire=True):
    async def connect(self) -> None:
        await self.send("hello")


entered: asyncio.Queue[str] = asyncio.Queue()
go_on = asyncio.Event()


@pytest.fixture(autouse=True)
def _fresh() -> None:
    global entered, go_on
    entered, go_on = asyncio.Queue(), asyncio.Event()
    go_on.set()


async def memory(client: Client) -> object:
    """Return what the server calls its memory, which stands behind what `connect` has sent."""
    assert (await client.receive()).type == "roomful.joined"
    told = await client.receive()
    assert told.type == "roomful.memory"
    assert told.fields["seconds"] == 300
    return told.fields["id"]


async def test_answer_that_was_lost_with_its_connection_is_given_again(serve_network: Serve) -> None:
    """The handler has run once, its push too; the memory is the same."""
    site = await serve_network(Shop)
    go_on.clear()
    async with site.connect("/?client=abc") as first:
        name = await memory(first)
        await first.send(Event("buy", "tea"), id="1")
        await entered.get()
        first.abort()  # type: ignore[attr-defined] # a client of a network has it
        await until(lambda: site.hub.statistics().connections == 0)
    async with site.connect("/?client=abc") as second:
        assert await memory(second) == name
        await second.send(Event("buy", "tea"), id="1")
        await second.send(Event("buy", "milk"), id="2")
        go_on.set()
        answers = [await second.receive() for _ in range(3)]
    assert [(one.reply, one.data) for one in answers if one.reply] == [("1", "TEA"), ("2", "MILK")]
    assert site.hub.statistics().pushes == 2
    assert site.hub.statistics().repeated == 1


async def test_client_without_a_name_is_told_nothing_and_handled_each_time(serve: Serve) -> None:
    """It pays nothing, and gets nothing."""
    site = await serve(Shop)
    async with site.connect("/") as client:
        await client.receive()
        for _ in range(2):
            await client.send(Event("buy", "tea"), id=1)
            assert (await client.receive()).type == "sold"
            assert (await client.receive()).data == "TEA"
    assert site.hub.statistics().repeated == 0


async def test_name_that_is_none_is_refused(serve: Serve) -> None:
    """Names are short and URL-safe; a connection that owns its wire takes no notice of a good one."""
    site = await serve({"/shop": Shop, "/raw": Raw})
    for name in ("", "a" * 65, "a%20b", "%C3%A4"):
        with pytest.raises(Refused) as caught:
            async with site.connect(f"/shop?client={name}"):
                pass
        assert caught.value.status == 400
    async with site.connect("/raw?client=abc") as raw:
        assert (await raw.receive()).text == "hello"
    async with site.connect("/shop?client=" + "a" * 64) as client:
        await memory(client)
