"""What reaches which handler: the table of the design, line by line, on every transport."""

import asyncio
import os
import threading
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import pydantic
import pytest

from roomful import Consumer, Event, Limits, Refuse, ReplyError, on
from roomful.testing import ConnectionClosed, ErrorReply, Refused

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


# ── JSON text with a type that has an @on handler ──


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
    flood, filler = 400, os.urandom(50_000)  # which compression does not shrink

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


# ── How `connect` accepts ──


async def test_connect_accepts_when_it_returns_and_passes_path_parameters(serve: Serve) -> None:
    """A consumer that does nothing in `connect` is connected; parameters come by their names."""
    seen: list[object] = []

    class Named(Consumer):
        async def connect(self, number: int, room: str = "nowhere") -> None:
            seen.append((number, room, self.scope["path"]))

    site = await serve({"/a/{number:int}/{room}": Named, "/b/{number:int}": Named})
    async with site.connect("/a/5/lobby"), site.connect("/b/6?x=y"):
        pass

    assert seen == [(5, "lobby", "/a/5/lobby"), (6, "nowhere", "/b/6")]


async def test_connect_accepts_with_a_subprotocol_and_headers(serve: Serve) -> None:
    """What the consumer chooses is what the client gets; a second accept is an error of the program."""
    seen: list[object] = []

    class Choosing(Consumer):
        async def connect(self) -> None:
            seen.append(self.scope["subprotocols"])
            seen.append(dict(self.scope["headers"])[b"cookie"])
            await self.accept(subprotocol="v2", headers={"X-Answer": "42"})
            await self.send("accepted")

    site = await serve(Choosing)
    async with site.connect(subprotocols=["v1", "v2"], cookies={"a": "1"}) as client:
        assert client.accepted_subprotocol == "v2"
        assert client.accepted_headers["x-answer"] == "42"
        assert (await client.receive()).text == "accepted"

    assert seen == [["v1", "v2"], b"a=1"]


async def test_connect_refuses_with_a_response(serve: Serve) -> None:
    """Before anything was accepted the client gets status, headers and a sentence."""

    class Closed(Consumer):
        async def connect(self) -> None:
            raise Refuse(429, "come later", headers={"Retry-After": "30"})

        async def disconnect(self) -> None:
            raise AssertionError("never connected")

    site = await serve(Closed)
    with pytest.raises(Refused) as caught:
        async with site.connect():
            pass

    assert (caught.value.status, caught.value.text) == (429, "come later\n")
    assert caught.value.headers["retry-after"] == "30"


async def test_connect_refuses_after_it_has_accepted(serve: Serve) -> None:
    """Then the client gets the close code that says what the status says, and `disconnect` runs."""
    codes: list[int] = []

    class Closed(Consumer):
        async def connect(self) -> None:
            await self.join("room")
            await self.send("welcome")
            raise Refuse(403, "banned")

        async def disconnect(self, code: int) -> None:
            codes.append(code)

    site = await serve(Closed)
    async with site.connect() as client:
        await client.receive_event("roomful.joined")
        assert (await client.receive()).text == "welcome"
        with pytest.raises(ConnectionClosed, match="4501"):
            await client.receive()
        assert client.close_reason == "banned"
    await site.idle()

    assert codes == [4501]


async def test_error_in_connect_is_500(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """The client learns no more; the log has the traceback."""

    class Broken(Consumer):
        async def connect(self) -> None:
            raise LookupError("secret")

    site = await serve(Broken)
    with pytest.raises(Refused) as caught:
        async with site.connect():
            pass

    assert caught.value.status == 500
    assert b"secret" not in caught.value.body
    assert "LookupError: secret" in caplog.text


async def test_unknown_path_is_404(serve: Serve) -> None:
    """The router refuses what it does not know; nothing is logged as an error."""
    site = await serve({"/known": Both})
    with pytest.raises(Refused) as caught:
        async with site.connect("/unknown"):
            pass

    assert caught.value.status == 404


async def test_handshake_that_takes_too_long_is_refused(serve: Serve) -> None:
    """`connect` is not waited for beyond the limit; it is cancelled."""
    cancelled = asyncio.Event()

    class Slow(Consumer):
        async def connect(self) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

    site = await serve(Slow, limits=Limits(handshake_timeout_s=0.05))
    with pytest.raises(Refused) as caught:
        async with site.connect():
            pass
    async with asyncio.timeout(5):
        await cancelled.wait()

    assert caught.value.status == 503
