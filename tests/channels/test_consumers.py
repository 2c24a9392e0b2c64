"""Consumers under Channels' names, behind Channels' communicators."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

import pytest
from channels.layers import channel_layers

from roomful.channels import DEFAULT_CHANNEL_LAYER
from roomful.channels.consumer import AsyncConsumer
from roomful.channels.exceptions import (
    AcceptConnection,
    DenyConnection,
    InvalidChannelLayerError,
    StopConsumer,
)
from roomful.channels.generic.http import AsyncHttpConsumer
from roomful.channels.generic.websocket import (
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
    JsonWebsocketConsumer,
    WebsocketConsumer,
)
from roomful.channels.layers import InMemoryChannelLayer
from roomful.channels.security.websocket import WebsocketDenier
from roomful.channels.testing import ApplicationCommunicator, HttpCommunicator, WebsocketCommunicator
from roomful.core.limits import Limits
from roomful.django import ChannelLayer
from tests.integration.waiting import until


@pytest.fixture
def layer() -> ChannelLayer:
    """Give the layer that consumers find."""
    layer = ChannelLayer(capacity=5)
    channel_layers.set(DEFAULT_CHANNEL_LAYER, layer)
    return layer


async def connected(app: Any, **options: Any) -> WebsocketCommunicator:
    communicator = WebsocketCommunicator(app, "/ws/", **options)
    accepted, _ = await communicator.connect(timeout=5)
    assert accepted
    return communicator


# ── Messages ──


class AsyncEcho(AsyncWebsocketConsumer):
    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.send(text_data, bytes_data)


class SyncEcho(WebsocketConsumer):
    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        self.send(text_data, bytes_data)


both = pytest.mark.parametrize("echo", [AsyncEcho, SyncEcho])


@both
async def test_texts_and_bytes_reach_receive_and_go_back(echo: Any, layer: ChannelLayer) -> None:
    client = await connected(echo.as_asgi())
    await client.send_to(text_data="hello")
    assert await client.receive_from() == "hello"
    await client.send_to(bytes_data=b"\x00\x01")
    assert await client.receive_from() == b"\x00\x01"
    await client.send_input({"type": "websocket.receive", "text": None, "bytes": b"x"})
    assert await client.receive_from() == b"x"
    await client.disconnect()


class AsyncJson(AsyncJsonWebsocketConsumer):
    async def receive_json(self, content: Any, **kwargs: object) -> None:
        await self.send_json({"got": content}, close=content == "bye")


class SyncJson(JsonWebsocketConsumer):
    def receive_json(self, content: Any, **kwargs: object) -> None:
        self.send_json({"got": content}, close=content == "bye")


@pytest.mark.parametrize("consumer", [AsyncJson, SyncJson])
async def test_json_is_decoded_and_encoded_and_may_close(consumer: Any, layer: ChannelLayer) -> None:
    client = await connected(consumer.as_asgi())
    await client.send_json_to([1, {"a": None}])
    assert await client.receive_json_from() == {"got": [1, {"a": None}]}
    await client.send_json_to("bye")
    assert await client.receive_json_from() == {"got": "bye"}
    assert await client.receive_output() == {"type": "websocket.close"}
    await client.disconnect()


@pytest.mark.parametrize("consumer", [AsyncJson, SyncJson])
@pytest.mark.parametrize("message", [{"bytes_data": b"x"}, {"text_data": "{"}])
async def test_what_is_no_json_ends_a_json_consumer(
    consumer: Any, message: dict[str, Any], layer: ChannelLayer
) -> None:
    client = await connected(consumer.as_asgi())
    await client.send_to(**message)
    with pytest.raises(ValueError, match=r"No text section|Expecting"):
        await client.wait()


# ── Accepting and refusing ──


@pytest.mark.parametrize(
    ("outcome", "accepted"), [(AcceptConnection, True), (DenyConnection, False), (None, True)]
)
async def test_connect_accepts_or_denies_by_what_it_raises(
    outcome: type[Exception] | None, accepted: bool, layer: ChannelLayer
) -> None:
    class Sync(WebsocketConsumer):
        def connect(self) -> None:
            if outcome is None:
                super().connect()
            else:
                raise outcome

    class Async(AsyncWebsocketConsumer):
        async def connect(self) -> None:
            if outcome is None:
                await super().connect()
            else:
                raise outcome

    for consumer in (Sync, Async):
        client = WebsocketCommunicator(consumer.as_asgi(), "/ws/")
        assert (await client.connect())[0] is accepted
        await client.disconnect()


async def test_a_refusal_has_the_code_of_close_and_an_acceptance_its_subprotocol_and_headers(
    layer: ChannelLayer,
) -> None:
    class Refusing(AsyncWebsocketConsumer):
        async def connect(self) -> None:
            await self.close(4003)

    class Choosing(WebsocketConsumer):
        def connect(self) -> None:
            self.accept("b", headers=[(b"x-room", b"7")])

    client = WebsocketCommunicator(Refusing.as_asgi(), "/ws/")
    assert await client.connect() == (False, 4003)
    await client.disconnect()
    client = WebsocketCommunicator(Choosing.as_asgi(), "/ws/", subprotocols=["a", "b"])
    assert await client.connect() == (True, "b")
    assert client.response_headers == [(b"x-room", b"7")]
    await client.disconnect()


async def test_the_denier_denies(layer: ChannelLayer) -> None:
    client = WebsocketCommunicator(WebsocketDenier.as_asgi(), "/ws/")
    assert (await client.connect())[0] is False
    await client.disconnect()


async def test_close_has_a_code_and_a_reason(layer: ChannelLayer) -> None:
    class Closing(AsyncWebsocketConsumer):
        async def connect(self) -> None:
            await self.accept()
            await self.close(code=4007, reason="enough")

    client = await connected(Closing.as_asgi())
    assert await client.receive_output() == {"type": "websocket.close", "code": 4007, "reason": "enough"}
    await client.disconnect()


async def test_a_send_without_anything_is_an_error(layer: ChannelLayer) -> None:
    class Empty(AsyncWebsocketConsumer):
        async def connect(self) -> None:
            await self.send()

    client = WebsocketCommunicator(Empty.as_asgi(), "/ws/")
    with pytest.raises(ValueError, match="one of bytes_data or text_data"):
        await client.connect()


# ── Groups ──


class AsyncMember(AsyncJsonWebsocketConsumer):
    groups = ("chat",)

    async def chat_message(self, event: dict[str, Any]) -> None:
        await self.send(event["text"])

    async def _private(self, event: dict[str, Any]) -> None:
        await self.send("never")


class SyncMember(JsonWebsocketConsumer):
    groups = ("chat",)

    def chat_message(self, event: dict[str, Any]) -> None:
        self.send(event["text"])

    def _private(self, event: dict[str, Any]) -> None:
        self.send("never")


members = pytest.mark.parametrize("member", [AsyncMember, SyncMember])


@members
async def test_members_get_what_is_sent_to_their_group_in_its_order(member: Any, layer: ChannelLayer) -> None:
    clients = [await connected(member.as_asgi()) for _ in range(3)]
    for number in range(5):
        await layer.group_send("chat", {"type": "chat.message", "text": str(number)})
    for client in clients:
        assert [await client.receive_from() for _ in range(5)] == list("01234")
        await client.disconnect()
    assert layer.groups == {}
    assert layer.channels == {}


@members
@pytest.mark.parametrize(
    "type_",
    ["close", "send", "accept", "disconnect", "send.json", "dispatch", "base.send", "channel.name", "groups",
     "as.asgi", "websocket.disconnect", "websocket.connect", "no.such", "unknown.type"],
)  # fmt: skip
async def test_a_type_reaches_no_method_that_the_application_has_not_written(
    member: Any, type_: str, layer: ChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    client = await connected(member.as_asgi())
    with caplog.at_level(logging.ERROR, logger="roomful.channels"):
        await layer.group_send("chat", {"type": type_, "text": "x", "code": 1000})
        told = await client.receive_json_from(timeout=5)
    assert told["data"]["code"] == "unknown_type"
    assert "No handler for message type" in caplog.text
    # The consumer lives.
    await layer.group_send("chat", {"type": "chat.message", "text": "still here"})
    assert await client.receive_from() == "still here"
    await client.disconnect()


class Outcomes(AsyncMember):
    """Has handlers that end it, each in its way."""

    async def chat_message(self, event: dict[str, Any]) -> None:
        await self.send(event["text"])

    async def chat_stop(self, event: dict[str, Any]) -> None:
        raise StopConsumer

    async def chat_failing(self, event: dict[str, Any]) -> None:
        raise LookupError("as it happens")

    async def chat_signature(self) -> None:
        pass


class Plain(Outcomes):
    """The same by way of `dispatch`, as an override of it makes sure."""

    async def dispatch(self, message: Any) -> None:
        await super().dispatch(message)


class Replaced(Outcomes):
    """Its own handler is another on each instance."""

    async def connect(self) -> None:
        async def other(event: dict[str, Any]) -> None:
            await self.send(f"other {event['text']}")

        await super().connect()
        self.chat_message = other  # type: ignore[method-assign] # what it is about


@pytest.mark.parametrize("base", [Outcomes, Plain])
@pytest.mark.parametrize(
    ("kind", "error"),
    [("stop", None), ("failing", LookupError), ("signature", TypeError)],
)
async def test_a_type_that_is_known_ends_a_consumer_as_one_that_is_new(
    kind: str, error: type[Exception] | None, base: type[Outcomes], layer: ChannelLayer
) -> None:
    # A class of its own has asked for no type yet; the second consumer goes by what the first has found.
    consumer = type("Fresh", (base,), {})
    for _ in range(2):
        client = await connected(consumer.as_asgi())
        await layer.group_send("chat", {"type": "chat.message", "text": "0"})
        await layer.group_send("chat", {"type": f"chat.{kind}"})
        await layer.group_send("chat", {"type": "chat.message", "text": "1"})
        assert await client.receive_from() == "0"
        if error is None:
            await client.wait()
        else:
            with pytest.raises(error):
                await client.wait()
        assert layer.groups == {}


@pytest.mark.parametrize("consumer", [Outcomes, Plain])
async def test_a_handler_that_is_another_on_one_instance_is_taken(
    consumer: type[Outcomes], layer: ChannelLayer
) -> None:
    usual, other = await connected(consumer.as_asgi()), await connected(type("R", (Replaced,), {}).as_asgi())
    for text in ("0", "1"):
        await layer.group_send("chat", {"type": "chat.message", "text": text})
        assert await usual.receive_from() == text
        assert await other.receive_from() == f"other {text}"
    await usual.disconnect()
    await other.disconnect()


async def test_a_handler_that_is_put_in_its_place_with_def_ends_the_consumer(
    layer: ChannelLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    consumer = type("Fresh", (Outcomes,), {})
    client = await connected(consumer.as_asgi())
    await layer.group_send("chat", {"type": "chat.message", "text": "0"})
    assert await client.receive_from() == "0"
    monkeypatch.setattr(consumer, "chat_message", lambda self, event: None)
    await layer.group_send("chat", {"type": "chat.message", "text": "1"})
    with pytest.raises(TypeError, match="is written with def"):
        await client.wait()


@pytest.mark.parametrize("where", ["base", "class"])
async def test_what_takes_the_place_of_dispatch_sees_every_message(
    where: str, layer: ChannelLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    dispatch = AsyncConsumer.dispatch

    async def traced(self: AsyncConsumer, message: Any) -> None:
        seen.append(message["type"])
        await dispatch(self, message)

    consumer = type("Fresh", (Outcomes,), {})
    client = await connected(consumer.as_asgi())
    await layer.group_send("chat", {"type": "chat.message", "text": "0"})
    assert await client.receive_from() == "0"
    monkeypatch.setattr(AsyncConsumer if where == "base" else consumer, "dispatch", traced)
    for text in ("1", "2"):
        await layer.group_send("chat", {"type": "chat.message", "text": text})
        assert await client.receive_from() == text
    assert seen == ["chat.message"] * 2
    await client.disconnect()


@members
@pytest.mark.parametrize("type_", ["_private", ".private"])
async def test_a_private_type_ends_the_consumer(member: Any, type_: str, layer: ChannelLayer) -> None:
    client = await connected(member.as_asgi())
    await layer.group_send("chat", {"type": type_})
    with pytest.raises(ValueError, match=r"Malformed type in message \(leading underscore\)"):
        await client.wait(timeout=5)
    assert layer.groups == {}


@pytest.mark.parametrize("message", [{"text": "x"}, {"type": 7}])
async def test_a_message_without_a_type_ends_the_consumer(
    message: dict[str, Any], layer: ChannelLayer
) -> None:
    client = await connected(AsyncMember.as_asgi())
    await layer.group_send("chat", message)
    with pytest.raises(ValueError, match="type"):
        await client.wait()


async def test_an_unknown_type_ends_a_consumer_that_asks_for_it(layer: ChannelLayer) -> None:
    class Strict(AsyncMember):
        raises_unknown_types = True

    client = await connected(Strict.as_asgi())
    await layer.group_send("chat", {"type": "no.such"})
    with pytest.raises(ValueError, match=r"No handler for message type 'no.such'"):
        await client.wait()


@pytest.mark.parametrize("consumer", [AsyncEcho, SyncEcho])
async def test_a_lifespan_is_refused_so_that_a_server_goes_on_without(
    consumer: Any, layer: ChannelLayer
) -> None:
    server = ApplicationCommunicator(consumer.as_asgi(), {"type": "lifespan"})
    await server.send_input({"type": "lifespan.startup"})
    with pytest.raises(ValueError, match=r"No handler for message type 'lifespan.startup'"):
        await server.wait(timeout=5)


async def test_a_handler_of_an_async_consumer_that_is_written_with_def_is_told(layer: ChannelLayer) -> None:
    class Wrong(AsyncMember):
        def chat_message(self, event: dict[str, Any]) -> None:  # type: ignore[override] # the mistake itself
            pass

    client = await connected(Wrong.as_asgi())
    await layer.group_send("chat", {"type": "chat.message"})
    with pytest.raises(TypeError, match="chat_message is written with def"):
        await client.wait()


async def test_groups_without_a_layer_are_an_error() -> None:
    class Lost(AsyncMember):
        channel_layer_alias = "nowhere"

    class SyncLost(SyncMember):
        channel_layer_alias = "nowhere"

    for consumer in (Lost, SyncLost):
        client = WebsocketCommunicator(consumer.as_asgi(), "/ws/")
        with pytest.raises(InvalidChannelLayerError, match=r"unconfigured.*'nowhere'"):
            await client.connect()


async def test_without_groups_a_consumer_needs_no_layer() -> None:
    class Alone(AsyncEcho):
        channel_layer_alias = "nowhere"

    client = await connected(Alone.as_asgi())
    await client.send_to(text_data="x")
    assert await client.receive_from() == "x"
    await client.disconnect()


async def test_any_other_layer_serves_too() -> None:
    from channels.layers import InMemoryChannelLayer as TheirLayer

    theirs = TheirLayer()
    channel_layers.set(DEFAULT_CHANNEL_LAYER, theirs)
    client = await connected(AsyncMember.as_asgi())
    for text in "abc":
        await theirs.group_send("chat", {"type": "chat.message", "text": text})
    assert [await client.receive_from() for _ in range(3)] == ["a", "b", "c"]
    await client.disconnect()
    assert theirs.groups == {}


# ── What is too much ──


async def test_a_consumer_is_told_how_many_messages_it_missed_before_the_next_one(
    layer: ChannelLayer,
) -> None:
    go_on = asyncio.Event()

    class Slow(AsyncMember):
        async def chat_message(self, event: dict[str, Any]) -> None:
            await go_on.wait()
            await self.send(event["text"])

        async def on_gap(self, missed: int) -> None:
            await self.send(f"missed {missed}")

    client = await connected(Slow.as_asgi())
    await layer.group_send("chat", {"type": "chat.message", "text": "0"})
    await until(lambda: all(len(box) == 0 for box in layer.groups["chat"].values()))
    for number in range(1, 9):
        await layer.group_send("chat", {"type": "chat.message", "text": str(number)})
    go_on.set()
    assert [await client.receive_from() for _ in range(7)] == ["0", "1", "2", "3", "4", "5", "missed 3"]
    await layer.group_send("chat", {"type": "chat.message", "text": "9"})
    assert await client.receive_from() == "9"
    await client.disconnect()


async def test_a_sync_consumer_is_told_too(layer: ChannelLayer) -> None:
    go_on = threading.Event()

    class Slow(SyncMember):
        def chat_message(self, event: dict[str, Any]) -> None:
            assert go_on.wait(10)
            self.send(event["text"])

        def on_gap(self, missed: int) -> None:
            self.send(f"missed {missed}")

    client = await connected(Slow.as_asgi())
    await layer.group_send("chat", {"type": "chat.message", "text": "0"})
    await until(lambda: all(len(box) == 0 for box in layer.groups["chat"].values()))
    for number in range(1, 8):
        await layer.group_send("chat", {"type": "chat.message", "text": str(number)})
    go_on.set()
    got = [await client.receive_from(timeout=5) for _ in range(7)]
    assert got == ["0", "1", "2", "3", "4", "5", "missed 2"]
    await client.disconnect()


async def test_a_client_that_sends_faster_than_it_is_handled_is_not_read(layer: ChannelLayer) -> None:
    go_on = asyncio.Event()
    taken = 0

    class Slow(AsyncWebsocketConsumer):
        async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            await go_on.wait()
            await self.send(text_data)

    client = await connected(Slow.as_asgi())
    for number in range(200):
        await client.send_to(text_data=str(number))
    limit = Limits().max_inbox_messages
    await until(lambda: client.input_queue.qsize() <= 200 - limit)
    await asyncio.sleep(0)
    assert client.input_queue.qsize() >= 200 - limit - 1
    go_on.set()
    while taken < 200:
        assert await client.receive_from() == str(taken)
        taken += 1
    await client.disconnect()


# ── The end ──


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_disconnect_runs_once_with_the_code(kind: str, layer: ChannelLayer) -> None:
    codes: list[int] = []

    class Sync(WebsocketConsumer):
        def disconnect(self, code: int) -> None:
            codes.append(code)

    class Async(AsyncWebsocketConsumer):
        async def disconnect(self, code: int) -> None:
            codes.append(code)

    client = await connected((Async if kind == "async" else Sync).as_asgi())
    await client.disconnect(code=4001)
    assert codes == [4001]


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_disconnect_runs_when_a_handler_has_failed(kind: str, layer: ChannelLayer) -> None:
    codes: list[int] = []

    class Sync(WebsocketConsumer):
        groups = ("g",)

        def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            raise LookupError("handler")

        def disconnect(self, code: int) -> None:
            codes.append(code)

    class Async(AsyncWebsocketConsumer):
        groups = ("g",)

        async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            raise LookupError("handler")

        async def disconnect(self, code: int) -> None:
            codes.append(code)

    client = await connected((Async if kind == "async" else Sync).as_asgi())
    await client.send_to(text_data="x")
    with pytest.raises(LookupError):
        await client.wait(timeout=5)
    assert codes == [1011]
    assert layer.groups == {}


async def test_a_slow_handler_does_not_delay_disconnect(
    layer: ChannelLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("roomful.channels.consumer.get_limits", lambda: Limits(handler_grace_s=0.01))
    seen: list[str] = []

    class Stuck(AsyncWebsocketConsumer):
        groups = ("g",)

        async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            seen.append(f"begin {text_data}")
            try:
                await asyncio.Event().wait()
            finally:
                seen.append("cancelled")

        async def disconnect(self, code: int) -> None:
            seen.append(f"disconnect {code}")
            await asyncio.sleep(0)
            seen.append("cleaned up")

    client = await connected(Stuck.as_asgi())
    await client.send_to(text_data="1")
    await client.send_to(text_data="2")
    await until(lambda: seen == ["begin 1"])
    await client.disconnect(timeout=5)
    assert seen == ["begin 1", "cancelled", "disconnect 1000", "cleaned up"]
    assert layer.channels == {}


async def test_a_thread_that_hangs_does_not_delay_disconnect(
    layer: ChannelLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("roomful.channels.consumer.get_limits", lambda: Limits(handler_grace_s=0.01))
    go_on = threading.Event()
    began = threading.Event()
    seen: list[str] = []

    class Stuck(WebsocketConsumer):
        def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            began.set()
            go_on.wait(10)
            seen.append("ended")

        def disconnect(self, code: int) -> None:
            seen.append("disconnect")

    client = await connected(Stuck.as_asgi())
    await client.send_to(text_data="1")
    await until(began.is_set)
    await client.disconnect(timeout=5)
    assert seen == ["disconnect"]
    go_on.set()
    await until(lambda: seen == ["disconnect", "ended"])


async def test_what_was_received_before_the_end_is_still_handled(layer: ChannelLayer) -> None:
    seen: list[str | None] = []

    class Recorder(AsyncWebsocketConsumer):
        async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            await asyncio.sleep(0)
            seen.append(text_data)

        async def disconnect(self, code: int) -> None:
            seen.append("end")

    client = await connected(Recorder.as_asgi())
    for text in "abc":
        await client.send_to(text_data=text)
    await client.disconnect()
    assert seen == ["a", "b", "c", "end"]


async def test_a_consumer_that_is_cancelled_leaves_nothing(layer: ChannelLayer) -> None:
    client = await connected(AsyncMember.as_asgi())
    client.stop(exceptions=False)
    await until(lambda: layer.groups == {})
    assert layer.channels == {}


# ── Other scopes ──


async def test_a_consumer_takes_events_of_any_protocol_until_it_stops(layer: ChannelLayer) -> None:
    class Worker(AsyncConsumer):
        def __init__(self, word: str) -> None:
            self.word = word

        async def thumbnail_make(self, message: dict[str, Any]) -> None:
            await self.send({"type": "made", "id": message["id"], "word": self.word})

        async def stop_now(self, message: dict[str, Any]) -> None:
            raise StopConsumer

    worker = ApplicationCommunicator(Worker.as_asgi(word="hi"), {"type": "channel", "channel": "thumbnails"})
    await worker.send_input({"type": "thumbnail.make", "id": 3})
    assert await worker.receive_output() == {"type": "made", "id": 3, "word": "hi"}
    await worker.send_input({"type": "stop.now"})
    await worker.wait()


async def test_an_http_consumer_answers_when_the_body_is_whole(layer: ChannelLayer) -> None:
    class Length(AsyncHttpConsumer):
        async def handle(self, body: bytes) -> None:
            await self.send_response(201, str(len(body)).encode(), headers={b"x-a": b"b"})

    client = HttpCommunicator(Length.as_asgi(), "POST", "/", body=b"12345")
    response = await client.get_response()
    assert response == {"status": 201, "body": b"5", "headers": [(b"x-a", b"b")]}


def test_an_application_names_its_consumer() -> None:
    app: Any = AsyncEcho.as_asgi(word=1)
    assert (app.consumer_class, app.consumer_initkwargs, app.__name__) == (
        AsyncEcho,
        {"word": 1},
        "AsyncEcho",
    )


async def test_the_memory_layer_has_the_arguments_of_channels() -> None:
    subject = InMemoryChannelLayer(1, 2, 3, {"a": 4})
    assert (subject.expiry, subject.group_expiry, subject.capacity, subject.get_capacity("a")) == (1, 2, 3, 4)
