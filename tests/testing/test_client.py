"""The in-process client, as a client of plain ASGI applications and of consumers."""

import asyncio
from collections.abc import AsyncIterator, MutableMapping
from contextlib import suppress
from typing import Any

import pytest

from roomful import Consumer, Event, Hub, Position, Refuse, on
from roomful.testing import ClientGone, ConnectionClosed, ErrorReply, Refused, connect

Scope = MutableMapping[str, Any]


@pytest.fixture
async def hub() -> AsyncIterator[Hub]:
    """Give a hub, and see that nothing is left of it or of the clients when the test ends."""
    async with Hub() as hub:
        yield hub
        statistics = hub.statistics()
        assert (statistics.connections, statistics.ending, statistics.rooms) == (0, 0, 0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


class Chat(Consumer):
    """Joins a room, posts to it, and answers."""

    async def connect(self) -> None:
        await self.join("lobby")

    @on("post")
    async def post(self, data: dict[str, object]) -> int:
        return (await self.hub.push("lobby", Event("post", data))).position.offset

    @on("image")
    async def image(self, data: bytes) -> None:
        await self.hub.push("lobby", Event("image", data[::-1]))

    @on("quiet")
    async def quiet(self) -> None:
        await self.hub.push("lobby", Event("quiet", 1), exclude=self.id)


async def echo(scope: Scope, receive: Any, send: Any) -> None:
    """Accept, and send back what comes until the client goes."""
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        await send({**event, "type": "websocket.send"})


# ── Talking ──


async def test_event_goes_out_and_comes_back(hub: Hub) -> None:
    """What the consumer pushes arrives decoded, with room and position; the reply has the id."""
    async with connect(Chat.as_asgi(hub=hub), "/") as client:
        joined = await client.receive_event("roomful.joined")
        await client.send(Event("post", {"text": "hi"}), id="first")
        post = await client.receive_event("post", room="lobby")
        reply = await client.receive_reply("first")

    assert joined.pos is not None
    assert joined.fields["recovered"] is False
    assert (post.data, post.room, post.pos) == ({"text": "hi"}, "lobby", Position(joined.pos.epoch, 1))
    assert (reply.data, reply.type, reply.error) == (1, None, None)
    assert str(post) == f"event 'post' in 'lobby' at {post.pos}"
    assert str(reply) == "reply to 'first'"


async def test_binary_event_goes_out_and_comes_back(hub: Hub) -> None:
    """An event whose data is bytes travels as a binary event in both directions."""
    async with connect(Chat.as_asgi(hub=hub), "/") as client:
        await client.send(Event("image", bytes(range(256))), id=7)
        image = await client.receive_event("image")
        reply = await client.receive_reply(7)

    assert isinstance(image.raw, bytes)
    assert image.data == bytes(reversed(range(256)))
    assert image.room == "lobby"
    assert (image.bytes, image.text) == (None, None)
    assert reply.data is None


async def test_position_alone_is_passed_over(hub: Hub) -> None:
    """A test that waits for events does not see where the member stands, unless it asks."""
    async with connect(Chat.as_asgi(hub=hub), "/") as client:
        await client.send(Event("quiet"), id=1)
        await client.receive_reply(1)
        await client.send(Event("quiet"), id=2)
        await client.receive_event("roomful.position")
        await client.receive_reply(2)


async def test_text_and_bytes_stay_what_they_are() -> None:
    """A message that is no event is given as it came."""
    messages: list[str | bytes] = [
        "hi",
        "",
        "[1]",
        '{"a":1}',
        "{",
        b"",
        b"\x00",
        b"\x00\x02{}",
        b"\xff\xff\xff",
    ]
    async with connect(echo, "/") as client:
        for message in messages:
            await client.send(message)
            received = await client.receive()
            assert (received.text if isinstance(message, str) else received.bytes) == message
            assert (received.type, received.data, received.reply, received.error) == (None, None, None, None)
        with pytest.raises(ValueError, match="only an event has an id"):
            await client.send("text", id=1)


async def test_odd_fields_are_not_trusted() -> None:
    """A server under test may send anything; the client shows it and does not fail."""
    async with connect(echo, "/") as client:
        await client.send('{"type":"x","room":1,"pos":"nonsense","error":3}')
        odd = await client.receive()
        await client.send('{"type":"x","pos":5,"error":{}}')
        odder = await client.receive()

    assert (odd.type, odd.room, odd.pos, odd.error) == ("x", None, None, None)
    assert (odder.pos, odder.error) == (None, ErrorReply("None", "None"))


async def test_wrong_message_fails_the_test_with_what_came(hub: Hub) -> None:
    """An expectation that is not met names both sides."""
    async with connect(Chat.as_asgi(hub=hub), "/") as client:
        await client.send(Event("nonsense"))
        error = await client.receive_error("unknown_type")
        assert error.error == ErrorReply("unknown_type", "type 'nonsense' is not known here")
        assert str(error) == "error 'unknown_type' (type 'nonsense' is not known here)"

        await client.send(Event("post", {"n": 1}))
        with pytest.raises(
            AssertionError, match=r"client got event 'post' in 'lobby' at .*; expected event 'edit'"
        ):
            await client.receive_event("edit")
        await client.send(Event("post", {"n": 2}))
        with pytest.raises(AssertionError, match="expected event 'post' in 'attic'"):
            await client.receive_event("post", room="attic")
        await client.send(Event("post", {"n": 3}))
        with pytest.raises(AssertionError, match="expected the reply to 1"):
            await client.receive_reply(1)
        await hub.push("lobby", "x" * 100)
        with pytest.raises(
            AssertionError, match=rf"client got text '{'x' * 60}'…; expected error 'internal'"
        ):
            await client.receive_error("internal")


async def test_nothing_comes() -> None:
    """Waiting ends with a sentence; looking does not wait."""
    has_sent = asyncio.Event()

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        await receive()
        await receive()
        await send({"type": "websocket.send", "text": "a"})
        has_sent.set()
        await receive()

    async with connect(app, "/") as client:
        assert client.receive_nowait() is None
        with pytest.raises(TimeoutError, match=r"nothing came within 0\.01 s"):
            await client.receive(timeout_s=0.01)
        await client.send("go")
        await has_sent.wait()
        received = client.receive_nowait()

    assert received is not None
    assert received.text == "a"


# ── Handshake ──


async def test_scope_is_as_a_server_makes_it() -> None:
    """Path, query, headers, cookies and subprotocols are where ASGI puts them."""
    seen: dict[str, Any] = {}

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        seen.update(scope)
        headers = [(b"X-Answer", b"42")]
        await send({"type": "websocket.accept", "subprotocol": "v2", "headers": headers})

    async with connect(
        app,
        "/r%C3%A4ume/1?resume=%7B%7D",
        headers={"X-Token": "é"},
        cookies={"a": "1", "b": "2"},
        subprotocols=["v1", "v2"],
        scope={"user": "ann", "root_path": "/r"},
    ) as client:
        assert client.accepted_subprotocol == "v2"
        assert client.accepted_headers == {"x-answer": "42"}

    assert seen["path"] == "/räume/1"
    assert (seen["raw_path"], seen["query_string"]) == (b"/r%C3%A4ume/1", b"resume=%7B%7D")
    assert seen["subprotocols"] == ["v1", "v2"]
    assert (seen["user"], seen["root_path"]) == ("ann", "/r")
    assert seen["headers"] == [
        (b"host", b"testserver"),
        (b"x-token", b"\xe9"),
        (b"cookie", b"a=1; b=2"),
        (b"sec-websocket-protocol", b"v1, v2"),
    ]


async def test_refusal_tells_status_headers_and_body(hub: Hub) -> None:
    """A refused handshake is an exception with the response that the client got."""

    class Closed(Consumer):
        async def connect(self) -> None:
            raise Refuse(429, "too many", headers={"Retry-After": "30"})

    with pytest.raises(Refused, match="refused with status 429") as caught:
        async with connect(Closed.as_asgi(hub=hub), "/"):
            pass

    assert (caught.value.status, caught.value.text) == (429, "too many\n")
    assert caught.value.headers["retry-after"] == "30"


async def test_refusal_without_a_response_is_403(hub: Hub) -> None:
    """A server that cannot send a response refuses in its own words."""

    class Closed(Consumer):
        async def connect(self) -> None:
            raise Refuse(429, "too many")

    with pytest.raises(Refused) as caught:
        async with connect(Closed.as_asgi(hub=hub), "/", denial_response=False):
            pass

    assert (caught.value.status, caught.value.headers, caught.value.body) == (403, {}, b"")


async def test_refusal_may_come_in_parts() -> None:
    """A response's body is put together."""

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await send({"type": "websocket.http.response.start", "status": 410, "headers": []})
        await send({"type": "websocket.http.response.body", "body": b"go", "more_body": True})
        await send({"type": "websocket.http.response.body", "body": b"ne"})

    with pytest.raises(Refused) as caught:
        async with connect(app, "/"):
            pass

    assert (caught.value.status, caught.value.body) == (410, b"gone")


async def test_handshake_that_is_not_answered() -> None:
    """An application that hangs fails the test and does not hang it; it is told that the client has gone."""
    told: list[Scope] = []

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        told.extend([await receive(), await receive()])

    with pytest.raises(TimeoutError, match="has not answered the handshake"):
        async with connect(app, "/", timeout_s=0.01):
            pass

    assert told == [{"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1006}]


# ── The end ──


async def test_client_closes_behind_what_it_sent() -> None:
    """The application gets every message, then the code and the reason."""
    got: list[Scope] = []

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        await receive()
        while not got or got[-1]["type"] != "websocket.disconnect":
            got.append(await receive())
        with pytest.raises(ClientGone):
            await send({"type": "websocket.send", "text": "too late"})
        assert await receive() == got[-1]

    async with connect(app, "/") as client:
        await client.send("a")
        await client.send(b"b")
        await client.close(4321, "bye")
        await client.close(1000, "a second close does nothing")
        with pytest.raises(ConnectionClosed, match="4321"):
            await client.receive()
        with pytest.raises(ConnectionClosed):
            await client.send("too late")
        assert repr(client) == "<Client closed with 4321>"

    assert got == [
        {"type": "websocket.receive", "text": "a"},
        {"type": "websocket.receive", "bytes": b"b"},
        {"type": "websocket.disconnect", "code": 4321, "reason": "bye"},
    ]


async def test_block_closes_with_1000() -> None:
    """A test need not close by itself."""
    got: list[Scope] = []

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        await receive()
        got.append(await receive())

    async with connect(app, "/") as client:
        assert repr(client) == "<Client open>"

    assert (got[0]["code"], client.close_code) == (1000, 1000)


async def test_client_aborts() -> None:
    """The application gets what was sent and then 1006, and its next message fails as under a server."""
    gone = asyncio.Event()

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        await gone.wait()
        with pytest.raises(ClientGone):
            await send({"type": "websocket.send", "text": "too late"})
        assert [(await receive())["type"], (await receive())["text"]] == ["websocket.connect", "a"]
        assert await receive() == {"type": "websocket.disconnect", "code": 1006}

    async with connect(app, "/") as client:
        await client.send("a")
        client.abort()
        client.abort()
        gone.set()
        with pytest.raises(ConnectionClosed):
            await client.receive()

    assert client.close_code == 1006


async def test_application_closes() -> None:
    """The client gets what was sent before, then the code and the reason; so does the application."""
    got: list[Scope] = []

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "a"})
        await send({"type": "websocket.close", "code": 4001, "reason": "drained"})
        with pytest.raises(RuntimeError, match="after the end of the connection"):
            await send({"type": "websocket.send", "text": "b"})
        got.extend([await receive(), await receive()])

    async with connect(app, "/") as client:
        assert (await client.receive()).text == "a"
        assert client.close_code is None
        with pytest.raises(ConnectionClosed, match="4001"):
            await client.receive()
        with pytest.raises(ConnectionClosed):
            client.receive_nowait()
        with pytest.raises(ConnectionClosed):
            await client.send("too late")

    assert (client.close_code, client.close_reason) == (4001, "drained")
    assert got[1] == {"type": "websocket.disconnect", "code": 4001, "reason": "drained"}


async def test_waiting_for_the_end_drops_what_comes_before() -> None:
    """A test that only wants the code asks for it."""

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "a"})

    async with connect(app, "/") as client:
        assert await client.wait_closed() == 1000
        assert await client.wait_closed() == 1000


async def test_both_close_at_once() -> None:
    """The application's close stands when it was first."""

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 4001})

    async with connect(app, "/") as client:
        await client.close()

    assert client.close_code == 4001


@pytest.mark.parametrize(
    ("event", "problem"),
    [
        ({"type": "websocket.accept"}, "'websocket.accept' while the connection is open"),
        ({"type": "websocket.http.response.start"}, "while the connection is open"),
        ({"type": "websocket.send"}, "neither text nor bytes"),
        ({"type": "websocket.send", "text": 5}, "neither text nor bytes"),
        ({"type": "websocket.send", "text": "a", "bytes": b"b"}, "neither text nor bytes, or both"),
        ({"type": "http.response.start"}, "'http.response.start' while"),
    ],
)
async def test_application_that_breaks_the_protocol_is_told(event: Scope, problem: str) -> None:
    """The socket of a test is as strict as a server."""

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        await send(event)

    with pytest.raises(RuntimeError, match=problem):
        async with connect(app, "/") as client:
            assert await client.wait_closed() == 1011


# ── Errors of the application ──


async def test_error_in_the_handshake_is_500() -> None:
    """The refusal says what the application raised."""

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        raise LookupError("no database")

    with pytest.raises(Refused, match="500") as caught:
        async with connect(app, "/"):
            pass

    assert caught.value.__notes__ == ["the application had raised LookupError('no database')"]


async def test_error_later_is_1011_and_raised_where_the_block_ends() -> None:
    """A test cannot overlook it, also when it has left the block otherwise."""

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        raise LookupError("no database")

    with pytest.raises(LookupError):
        async with connect(app, "/") as client:
            assert await client.wait_closed() == 1011
    with pytest.raises(ConnectionClosed, match="1011") as caught:
        async with connect(app, "/") as client:
            await client.receive()
    assert caught.value.__notes__ == ["the application had raised LookupError('no database')"]


async def test_application_that_does_not_end_fails_the_test() -> None:
    """It is cancelled, so that nothing of it runs on."""
    ended = asyncio.Event()

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    before = asyncio.all_tasks()
    with pytest.raises(AssertionError, match=r"application still ran 0\.01 s after the end"):
        async with connect(app, "/", end_timeout_s=0.01):
            pass

    assert ended.is_set()
    assert asyncio.all_tasks() == before


# ── Backpressure and cancellation ──


async def test_client_that_does_not_receive_holds_the_application_back() -> None:
    """The application's `send` waits once the window is full, and goes on when the client reads."""
    sent = 0
    is_held_back = asyncio.Event()

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        nonlocal sent
        await send({"type": "websocket.accept"})
        for number in range(100):
            sending = asyncio.ensure_future(send({"type": "websocket.send", "text": f"{number:0100}"}))
            await asyncio.wait((sending,), timeout=0)
            if not sending.done():
                is_held_back.set()
            await sending
            sent = number + 1

    async with connect(app, "/", window_bytes=1024) as client:
        await is_held_back.wait()
        assert sent == 9  # 108 bytes each, with what a message costs besides
        got = [(await client.receive()).text for _ in range(100)]

    assert got == [f"{number:0100}" for number in range(100)]


async def test_application_that_does_not_receive_holds_the_client_back() -> None:
    """`send` waits once the window is full; a message above the window passes an empty one."""
    may_read = asyncio.Event()
    got: list[str] = []

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        await receive()
        await may_read.wait()
        while (event := await receive())["type"] == "websocket.receive":
            got.append(event["text"])

    async with connect(app, "/", window_bytes=1024) as client:
        await client.send("x" * 5000)
        with pytest.raises(TimeoutError, match="application has not received"):
            await client.send("never sent", timeout_s=0.01)
        with pytest.raises(TimeoutError, match="application has not received"):
            await client.close(timeout_s=0.01)
        waiting = [asyncio.create_task(client.send(str(number))) for number in range(5)]
        may_read.set()
        await asyncio.gather(*waiting)

    assert got == ["x" * 5000, *"01234"]


async def test_close_lets_an_application_go_on_that_waits_to_send() -> None:
    """A client that closes takes what comes and drops it, so that nobody waits for it."""

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        for _ in range(100):
            await send({"type": "websocket.send", "bytes": bytes(100)})

    async with connect(app, "/", window_bytes=1024):
        pass


async def test_abort_ends_what_waits() -> None:
    """On both sides: the application's `send` raises, and so does the client's."""

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        await asyncio.gather(*(send({"type": "websocket.send", "bytes": bytes(1000)}) for _ in range(5)))

    async with connect(app, "/", window_bytes=1024) as client:
        sending = [asyncio.create_task(client.send(bytes(1000))) for _ in range(3)]
        await sending[0]
        client.abort()
        outcomes = await asyncio.gather(*sending, return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [type(None), ConnectionClosed, ConnectionClosed]


async def test_cancelled_receive_loses_nothing() -> None:
    """A message that comes while nobody waits any more is there for the next one."""
    async with connect(echo, "/") as client:
        waiting = asyncio.create_task(client.receive())
        await asyncio.sleep(0)
        waiting.cancel()
        with suppress(asyncio.CancelledError):
            await waiting
        await client.send("a")
        assert (await client.receive()).text == "a"


async def test_cancelled_test_leaves_nothing_behind(hub: Hub) -> None:
    """Wherever a test is cancelled, the application ends and no task is left."""
    before = asyncio.all_tasks()
    for passes in range(12):

        async def talk() -> None:
            async with connect(Chat.as_asgi(hub=hub), "/") as client:
                await client.send(Event("post", {}), id=1)
                await client.receive_event("post")
                await client.receive_reply(1)

        task = asyncio.create_task(talk())
        for _ in range(passes):
            await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        assert asyncio.all_tasks() == before
