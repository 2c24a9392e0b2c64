"""What reaches `receive`, or nobody; and what comes before `connect` has returned."""

import asyncio
from dataclasses import dataclass
from typing import Any

import msgspec
import pydantic
import pytest

from roomful import Consumer, Event, Limits, on

from .conftest import Serve


class Struct(msgspec.Struct):
    text: str
    n: int = 0


@dataclass
class Data:
    text: str
    n: int = 0


class Model(pydantic.BaseModel):
    text: str
    n: int = 0


class Both(Consumer):
    """Has handlers for events, and takes the rest as it comes."""

    @on("known")
    async def known(self, data: str) -> str:
        return "known " + data

    async def receive(self, message: str | bytes) -> None:
        await self.send(f"rest {message!r}")


async def test_rest_reaches_receive(serve: Serve) -> None:
    """Other text and binary frames go to `receive` as they came; an event of a known type does not."""
    site = await serve(Both)

    async with site.connect() as client:
        await client.send(Event("known", "x"), id=1)
        assert (await client.receive_reply(1)).data == "known x"
        for message in ("plain", "{", "[]", "", '{"type":"unknown","id":1}', b"", b"\x00\x01"):
            await client.send(message)
            assert (await client.receive()).text == f"rest {message!r}"


async def test_reserved_type_does_not_reach_receive(serve: Serve) -> None:
    """Types of the library's own are refused in every consumer that reads events."""
    site = await serve(Both)

    async with site.connect() as client:
        await client.send('{"type":"roomful.joined","id":1}')
        assert (await client.receive_error("reserved_type")).reply == 1


@pytest.mark.parametrize(
    ("annotation", "good", "expected", "bad"),
    [
        (str, "text", "'text'", b"\x00"),
        (bytes, b"\x00", "b'\\x00'", "text"),
        (str | bytes, b"\x00", "b'\\x00'", None),
        (dict[str, int], '{"a":1}', "{'a': 1}", '{"a":"x"}'),
        (Struct, '{"text":"x"}', "Struct(text='x', n=0)", '{"n":1}'),
        (Model, '{"text":"x"}', "Model(text='x', n=0)", b'{"text":"x"}'),
        (list[Data], '[{"text":"x"}]', "Data(text='x', n=0)]", "[1]"),
    ],
    ids=str,
)
async def test_receive_gets_a_message_decoded_by_annotation(
    serve: Serve, annotation: Any, good: str | bytes, expected: str, bad: str | bytes | None
) -> None:
    """A message that does not fit is an error, and the connection lives."""

    class Taker(Consumer):
        async def receive(self, message: annotation) -> None:
            await self.send(repr(message))

    site = await serve(Taker)
    async with site.connect() as client:
        if bad is not None:
            await client.send(bad)
            await client.receive_error("invalid_message")
        await client.send(good)
        text = (await client.receive()).text
        assert text is not None
        assert text.endswith(expected)


async def test_consumer_that_only_listens_says_so(serve: Serve) -> None:
    """Any message to a consumer without handlers is an error; it still gets what is pushed."""

    class Feed(Consumer):
        async def connect(self) -> None:
            await self.join("feed")

    site = await serve(Feed)
    async with site.connect() as client:
        await client.receive_event("roomful.joined")
        for message in ("text", b"\x00", "{"):
            await client.send(message)
            assert (await client.receive_error("not_listening")).reply is None
        await client.send(Event("post"), id=3)
        assert (await client.receive_error("not_listening")).reply == 3
        await site.hub.push("feed", Event("news", 1))
        assert (await client.receive_event("news")).data == 1


# ── Messages before `connect` has returned ──


async def test_messages_wait_for_connect(serve: Serve) -> None:
    """What comes while `connect` runs is handled after it, in order."""
    go_on = asyncio.Event()
    seen: list[object] = []

    class Late(Consumer):
        async def connect(self) -> None:
            await self.accept()
            await go_on.wait()
            seen.append("connected")

        async def receive(self, message: str) -> None:
            seen.append(message)
            await self.send(message)

    site = await serve(Late)
    async with site.connect() as client:
        for message in "abc":
            await client.send(message)
        await client.send("pushed out by now")
        assert seen == []
        go_on.set()
        for message in "abc":
            assert (await client.receive()).text == message

    assert seen[:4] == ["connected", "a", "b", "c"]


async def test_messages_before_connect_wait_within_the_inbound_limits(serve: Serve) -> None:
    """A client that floods a consumer which is not ready is held back; nothing is lost and memory stays bounded."""
    go_on = asyncio.Event()
    flood, filler = 400, bytes(50_000)

    class Late(Consumer):
        async def connect(self) -> None:
            await self.accept()
            await go_on.wait()

        async def receive(self, message: bytes) -> None:
            if message[0] + 256 * message[1] == flood - 1:
                await self.send("all came")
            assert next(numbers) == message[0] + 256 * message[1]

    numbers = iter(range(flood))
    site = await serve(Late, limits=Limits(max_inbox_messages=4))
    async with site.connect() as client:

        async def send_all() -> None:
            for number in range(flood):
                await client.send(number.to_bytes(2, "little") + filler)

        sending = asyncio.create_task(send_all())
        # 20 MB are more than all buffers on the way hold, so that the flood stands still.
        done, _ = await asyncio.wait((sending,), timeout=0.2)
        assert not done
        go_on.set()
        await sending
        assert (await client.receive()).text == "all came"
