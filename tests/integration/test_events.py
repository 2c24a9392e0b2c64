"""What reaches which `@on` handler, and what it answers."""

import asyncio
import threading
from dataclasses import dataclass
from typing import Annotated

import msgspec
import pydantic
import pytest

from roomful import Consumer, Event, ReplyError, on
from roomful.testing import ErrorReply

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


class Decoding(Consumer):
    """Answers with what it was given, and of which class that is."""

    @on("dict")
    async def a_dict(self, data: dict) -> object:  # type: ignore[type-arg] # as a user may write it
        return [type(data).__name__, data]

    @on("mapping")
    async def a_mapping(self, data: dict[str, object]) -> object:
        return [type(data).__name__, data]

    @on("struct")
    async def a_struct(self, data: Struct) -> object:
        return [type(data).__name__, data]

    @on("dataclass")
    async def a_dataclass(self, data: Data) -> object:
        return [type(data).__name__, data]

    @on("model")
    async def a_model(self, data: Model) -> object:
        return [type(data).__name__, data]

    @on("models")
    async def models(self, data: list[Model]) -> object:
        return [type(data[0]).__name__, data[0]]

    @on("number")
    async def a_number(self, data: Annotated[int, msgspec.Meta(ge=3)]) -> object:
        return [type(data).__name__, data]

    @on("anything")
    async def anything(self, data) -> object:  # type: ignore[no-untyped-def] # as a user may write it
        return [type(data).__name__, data]

    @on("nothing")
    async def nothing(self) -> object:
        return ["nothing", None]

    @on("bytes")
    async def some_bytes(self, data: bytes) -> object:
        return [type(data).__name__, data.hex()]

    @on("one")
    @on("two")
    async def both(self, data: str) -> object:
        return ["both", data]


@pytest.mark.parametrize(
    ("type_", "data", "expected"),
    [
        ("dict", {"a": [1, None]}, ["dict", {"a": [1, None]}]),
        ("mapping", {"a": [1, None]}, ["dict", {"a": [1, None]}]),
        ("struct", {"text": "é", "n": 2}, ["Struct", {"text": "é", "n": 2}]),
        ("dataclass", {"text": "x", "n": 1}, ["Data", {"text": "x", "n": 1}]),
        ("model", {"text": "x", "n": 1}, ["Model", {"text": "x", "n": 1}]),
        ("models", [{"text": "x", "n": 1}], ["Model", {"text": "x", "n": 1}]),
        ("number", 3, ["int", 3]),
        ("anything", [1, "x"], ["list", [1, "x"]]),
        ("anything", None, ["NoneType", None]),
        ("nothing", {"ignored": 1}, ["nothing", None]),
        ("bytes", b"\x00\xff", ["bytes", "00ff"]),
        ("one", "1", ["both", "1"]),
        ("two", "2", ["both", "2"]),
    ],
)
async def test_event_reaches_its_handler_decoded_by_annotation(
    serve: Serve, type_: str, data: object, expected: object
) -> None:
    """The handler's annotation says what the data becomes."""
    site = await serve(Decoding)

    async with site.connect() as client:
        await client.send(Event(type_, data), id=1)
        reply = await client.receive_reply(1)

    assert reply.data == expected


@pytest.mark.parametrize(
    ("type_", "data", "problem"),
    [
        ("struct", {"text": 5}, "Expected `str`, got `int` - at `data.text`"),
        ("struct", {}, "missing required field `text`"),
        ("dataclass", [], "Expected `object`, got `array`"),
        ("model", {"text": 5}, "text: Input should be a valid string"),
        ("models", [{"text": "x", "n": "y"}], "n: Input should be a valid integer"),
        ("number", 2, "Expected `int` >= 3"),
        ("dict", "text", "Expected `object`, got `str`"),
        ("struct", b"\x00", "data is binary; this event takes JSON"),
        ("bytes", "text", "data is JSON; this event takes binary data"),
    ],
)
async def test_data_of_the_wrong_shape_is_an_error_that_names_field_and_rule(
    serve: Serve, type_: str, data: object, problem: str
) -> None:
    """The handler is not called, and the connection lives."""
    site = await serve(Decoding)

    async with site.connect() as client:
        await client.send(Event(type_, data), id="x")
        error = await client.receive_error("invalid_message")
        assert error.reply == "x"
        assert error.error is not None
        assert problem in error.error.message
        await client.send(Event("nothing"), id=2)
        await client.receive_reply(2)


async def test_handler_written_with_def_runs_in_a_thread(serve: Serve) -> None:
    """It may block without holding up anybody; its value is the reply."""
    entered, leave = threading.Event(), threading.Event()

    class Slow(Consumer):
        @on("slow")
        def slow(self, data: int) -> int:
            entered.set()
            assert leave.wait(5)
            return data + 1

        @on("where")
        def where(self) -> bool:
            return threading.current_thread() is threading.main_thread()

    site = await serve(Slow)
    async with site.connect() as slow, site.connect() as other:
        await slow.send(Event("slow", 1), id=1)
        await asyncio.to_thread(entered.wait, 5)
        await other.send(Event("where"), id=2)
        assert (await other.receive_reply(2)).data is False
        leave.set()
        assert (await slow.receive_reply(1)).data == 2


# ── What no @on handler takes ──


async def test_unknown_type_is_an_error_where_there_is_no_receive(serve: Serve) -> None:
    """The client is told the type, with its id where it gave one, and the connection lives."""
    site = await serve(Decoding)

    async with site.connect() as client:
        await client.send(Event("no such"))
        error = await client.receive()
        assert (error.type, error.reply) == ("roomful.error", None)
        assert error.error == ErrorReply("unknown_type", "type 'no such' is not known here")
        await client.send(Event("no such", b"\x00"), id=5)
        error = await client.receive()
        assert (error.type, error.reply) == (None, 5)
        assert error.error == ErrorReply("unknown_type", "type 'no such' is not known here")
        await client.send(Event("nothing"), id=6)
        await client.receive_reply(6)


# ── Replies ──


async def test_reply_comes_after_the_handler_has_returned(serve: Serve) -> None:
    """What the handler sends and pushes stands before its reply."""

    class Ask(Consumer):
        async def connect(self) -> None:
            await self.join("room")

        @on("ask")
        async def ask(self, data: int) -> dict[str, int]:
            await self.send(Event("sent", 1))
            await self.hub.push("room", Event("pushed", 2))
            await self.send(Event("sent", 3))
            return {"answer": data}

    site = await serve(Ask)
    async with site.connect() as client:
        await client.send(Event("ask", 42), id="q")
        assert (await client.receive_event("sent")).data == 1
        assert (await client.receive_event("pushed")).data == 2
        assert (await client.receive_event("sent")).data == 3
        reply = await client.receive_reply("q")
        assert (reply.data, reply.fields) == ({"answer": 42}, {"reply": "q", "data": {"answer": 42}})


async def test_error_of_a_handler_is_a_reply_without_internals(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    """The client learns that it failed, the log learns why, and the connection lives."""

    class Failing(Consumer):
        @on("fail")
        async def fail(self) -> None:
            raise LookupError("secret")

        @on("refuse")
        async def refuse(self) -> None:
            raise ReplyError("full", "the room is full")

        @on("odd")
        async def odd(self) -> object:
            return object()

        @on("thread")
        def thread(self) -> None:
            raise LookupError("secret")

    site = await serve(Failing)
    async with site.connect() as client:
        for type_ in ("fail", "odd", "thread"):
            await client.send(Event(type_), id=type_)
            error = await client.receive_error("internal")
            assert error.reply == type_
            assert error.error is not None
            assert "secret" not in error.error.message
            await client.send(Event(type_))
            assert (await client.receive_error("internal")).reply is None if type_ != "odd" else True
        await client.send(Event("refuse"), id=2)
        error = await client.receive_error("full")
        assert (error.reply, error.error) == (2, ErrorReply("full", "the room is full"))

    assert "LookupError: secret" in caplog.text


async def test_one_message_at_a_time_in_order(serve: Serve) -> None:
    """A handler is not entered again before it has returned, whatever the client sends meanwhile."""
    running = 0
    order: list[int] = []

    class Careful(Consumer):
        @on("n")
        async def number(self, data: int) -> None:
            nonlocal running
            running += 1
            assert running == 1
            for _ in range(data % 3):
                await asyncio.sleep(0)
            order.append(data)
            running -= 1

    site = await serve(Careful)
    async with site.connect() as client:
        for number in range(50):
            await client.send(Event("n", number), id=number)
        for number in range(50):
            await client.receive_reply(number)

    assert order == list(range(50))
