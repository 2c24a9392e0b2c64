"""The session: which handler gets which message, and what a client hears of errors."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import Any

import msgspec
import pytest

from roomful.consumers import (
    Binding,
    ConsumerBase,
    HandlerSpec,
    Plan,
    Scope,
    Session,
    Threads,
    bind_plainly,
    on,
)
from roomful.core.errors import ConnectionClosed, InvalidMessage, ReplyError
from roomful.core.names import room_name
from roomful.core.ports import Handler
from roomful.wire import EventsCodec
from roomful.wire.bodies import join_binary
from tests.clock import passes
from tests.fakes import FakeLink, FakePusher

PLAINLY = partial(bind_plainly, threads=Threads(1))


class Post(msgspec.Struct):
    text: str


class Base(ConsumerBase):
    """Notes what its handlers get."""

    def __init__(self) -> None:
        self.got: list[Any] = []


class Chat(Base):
    @on("post")
    async def post(self, message: Post) -> str:
        self.got.append(message)
        return message.text.upper()

    @on("plain")
    async def plain(self) -> None:
        self.got.append("plain")


class Mixed(Chat):
    async def receive(self, message: str | bytes) -> str:
        self.got.append(message)
        return "no reply"


class Images(Base):
    @on("image")
    async def image(self, message: bytes) -> int:
        self.got.append(message)
        return len(message)


class MixedImages(Images):
    async def receive(self, message: bytes) -> None:
        self.got.append(message)


class Texts(Base):
    async def receive(self, message: str) -> None:
        self.got.append(message)


class Listener(Base):
    pass


def session_of(
    cls: type[Base], *, bind: Any = PLAINLY, scope: Scope | None = None
) -> tuple[Session, Base, FakeLink]:
    link, consumer = FakeLink(), cls()
    consumer.bind(link, FakePusher(), {})
    return Session(consumer, link, Plan(cls, EventsCodec(), bind), scope), consumer, link


async def handled(cls: type[Base], *messages: str | bytes) -> tuple[list[Any], list[tuple[object, ...]]]:
    """Return what the handlers got of these messages, and what the client did."""
    session, consumer, link = session_of(cls)
    handler: Handler = session
    for message in messages:
        awaitable = handler.handle(message)
        assert awaitable is not None
        await awaitable
    return consumer.got, link.calls


# ── The table of what reaches which handler ──


async def test_event_with_a_handler_goes_to_it_and_its_id_gets_the_result() -> None:
    """The data comes decoded; without an id nothing is answered."""
    got, said = await handled(
        Chat, '{"type":"post","data":{"text":"hi"},"id":7}', '{"type":"post","data":{"text":"ho"}}'
    )

    assert got == [Post("hi"), Post("ho")]
    assert said == [("reply", 7, "HI")]


async def test_handler_without_a_message_ignores_the_data() -> None:
    """A type alone can be enough, and an acknowledgement is a reply with nothing in it."""
    assert await handled(Chat, '{"type":"plain","data":[1],"id":""}') == (["plain"], [("reply", "", None)])


@pytest.mark.parametrize("cls", [Chat, Images])
async def test_unknown_type_without_receive_is_an_error(cls: type[Base]) -> None:
    """The error names the type and answers the id; the connection lives."""
    got, said = await handled(cls, '{"type":"é\\n","id":7}', '{"type":"nope"}')

    assert got == []
    assert said == [
        ("error", "unknown_type", r"type '\xe9\n' is not known here", 7),
        ("error", "unknown_type", "type 'nope' is not known here", None),
    ]


async def test_unknown_type_is_not_repeated_at_length() -> None:
    """An error reply is short, whatever the client sent."""
    _, said = await handled(Chat, '{"type":"' + "x" * 10_000 + '"}')

    assert said == [("error", "unknown_type", f"type {'x' * 100!a} is not known here", None)]


async def test_what_is_no_known_event_goes_to_receive_untouched() -> None:
    """With a `receive` other texts, unknown types and binary frames are its own, ids and all, without a reply."""
    messages = ["hello", '{"type":"nope","id":1}', '{"type":5,"id":1}', b"\x00", ""]
    got, said = await handled(Mixed, *messages, '{"type":"plain"}')

    assert got == [*messages, "plain"]
    assert said == []


async def test_reserved_type_is_refused_also_where_receive_would_take_it() -> None:
    """Nobody's `receive` gets what looks like ours."""
    for cls in (Chat, Mixed):
        got, said = await handled(cls, '{"type":"roomful.gap","id":2}')
        assert got == []
        assert said == [("error", "reserved_type", "type begins with 'roomful.', which is reserved", 2)]


async def test_binary_event_goes_to_its_handler() -> None:
    """Bytes come as they are."""
    message = join_binary(b'{"type":"image","id":1}', b"\x89PNG")

    assert await handled(Images, message) == ([b"\x89PNG"], [("reply", 1, 4)])
    assert await handled(MixedImages, message) == ([b"\x89PNG"], [("reply", 1, 4)])


async def test_other_binary_frames_go_to_receive_or_are_an_error() -> None:
    """A frame that is no binary event is `receive`'s, or wrong."""
    assert await handled(MixedImages, b"\x89") == ([b"\x89"], [])
    assert await handled(Images, b"\x89") == (
        [],
        [("error", "invalid_message", "binary event has no header", None)],
    )
    assert await handled(Chat, b"\x89") == (
        [],
        [("error", "invalid_message", "binary event has no header", None)],
    )


async def test_receive_of_one_kind_refuses_the_other() -> None:
    """A `receive` that asks for text gets text."""
    got, said = await handled(Texts, "hi", b"\x00", '{"type":"x","id":1}')

    assert got == ["hi", '{"type":"x","id":1}']
    assert said == [("error", "invalid_message", "message is of the wrong kind; expected text", None)]


@pytest.mark.parametrize(
    ("message", "id_"),
    [
        ("hello", None),
        (b"\x00", None),
        ('{"type":"a","id":3}', 3),
        ('{"id":4}', 4),
        ('{"type":"roomful.x","id":5}', 5),
    ],
)
async def test_consumer_that_only_listens_says_so(message: str | bytes, id_: object) -> None:
    """A message to a consumer without handlers is answered, by its id where there is one."""
    assert await handled(Listener, message) == (
        [],
        [("error", "not_listening", "this connection only listens; messages have no effect", id_)],
    )


@pytest.mark.parametrize(
    ("message", "code", "text", "id_"),
    [
        ("{", "invalid_json", "message is not valid JSON: Input data was truncated", None),
        ('{"id":1}', "invalid_message", "message: Object missing required field `type`", 1),
        (
            '{"type":"post","data":{},"id":1}',
            "invalid_message",
            "data: Object missing required field `text`",
            1,
        ),
        (
            '{"type":"post","data":{"text":5}}',
            "invalid_message",
            "data: Expected `str`, got `int` - at `data.text`",
            None,
        ),
        (
            join_binary(b'{"type":"post","id":1}', b""),
            "invalid_message",
            "data is binary; this event takes JSON",
            1,
        ),
    ],
)
async def test_bad_input_is_answered_with_field_and_rule(
    message: str | bytes, code: str, text: str, id_: object
) -> None:
    """Nothing reaches a handler, and the client knows what was wrong with which message."""
    assert await handled(Chat, message) == ([], [("error", code, text, id_)])


# ── Errors of handlers ──


class Failing(Base):
    @on("fail")
    async def fail(self) -> None:
        raise ValueError("secret")

    @on("taken")
    async def taken(self) -> None:
        raise ReplyError("taken", "this name is taken")

    @on("invalid")
    async def invalid(self) -> None:
        raise InvalidMessage("too_long", "data.text: at most 5 characters")

    @on("unwritable")
    async def unwritable(self) -> object:
        return object()

    @on("closed")
    async def closed(self) -> None:
        raise ConnectionClosed(1000)

    @on("cancelled")
    async def cancelled(self) -> None:
        raise asyncio.CancelledError

    @on("forever")
    async def forever(self) -> None:
        await asyncio.Event().wait()

    @on("room")
    async def room(self) -> None:
        room_name("")

    @on("ok")
    async def ok(self) -> None: ...


async def test_error_of_a_handler_is_answered_without_internals(caplog: pytest.LogCaptureFixture) -> None:
    """The client hears that it failed, the log has the traceback, and the next message is handled."""
    got, said = await handled(Failing, '{"type":"fail","id":1}', '{"type":"fail"}')

    text = "the server failed to handle this message"
    assert said == [("error", "internal", text, 1), ("error", "internal", text, None)]
    assert got == []
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]
    assert "ValueError: secret" in caplog.text


async def test_error_that_a_handler_means_for_the_client() -> None:
    """A `ReplyError`, or an `InvalidMessage` of the handler's own check, is passed on as it is."""
    _, said = await handled(
        Failing, '{"type":"taken","id":1}', '{"type":"invalid","id":2}', '{"type":"invalid"}'
    )

    assert said == [
        ("error", "taken", "this name is taken", 1),
        ("error", "too_long", "data.text: at most 5 characters", 2),
        ("error", "too_long", "data.text: at most 5 characters", None),
    ]


async def test_result_that_cannot_be_written_is_the_handlers_failure(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A client that waits for a reply gets one."""
    session, _, link = session_of(Failing)

    def reply(reply_to: object, value: object) -> None:
        raise TypeError(f"cannot write {type(value).__name__}")

    link.reply = reply  # type: ignore[method-assign,assignment] # a link that encodes
    await session.handle('{"type":"unwritable","id":1}')  # type: ignore[misc] # it is awaitable

    assert link.calls == [("error", "internal", "the server failed to handle this message", 1)]
    assert "cannot write object" in caplog.text


async def test_closed_connection_in_a_handler_is_no_news(caplog: pytest.LogCaptureFixture) -> None:
    """A handler whose connection ends under it fails quietly; a client that still lives is answered all the same."""
    with caplog.at_level(logging.DEBUG):
        _, said = await handled(Failing, '{"type":"closed","id":1}')

    assert said == [("error", "internal", "the server failed to handle this message", 1)]
    assert [record.levelname for record in caplog.records] == ["DEBUG"]


async def test_handler_that_awaits_what_was_cancelled_has_failed(caplog: pytest.LogCaptureFixture) -> None:
    """Only a handler that is itself cancelled ends silently; one that ran into another's cancellation is answered."""
    _, said = await handled(Failing, '{"type":"cancelled","id":1}')

    assert said == [("error", "internal", "the server failed to handle this message", 1)]
    assert "handler failed" in caplog.text


async def test_handler_that_is_cancelled_answers_nothing() -> None:
    """The hub cancels handlers whose connection has ended."""
    session, _, link = session_of(Failing)
    handling = asyncio.ensure_future(session.handle('{"type":"forever","id":1}'))  # type: ignore[arg-type]
    await passes(2)
    handling.cancel()
    await passes(2)

    assert handling.cancelled()
    assert link.calls == []


async def test_room_name_from_a_message_that_cannot_be_is_the_clients_mistake(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What a handler makes of the client's words is answered with the rule, and fills no log."""
    _, said = await handled(Failing, '{"type":"room","id":1}')

    assert said == [("error", "invalid_room", "room name is empty; expected at least one character", 1)]
    assert caplog.records == []


@pytest.mark.parametrize("message", ['{"type":"ok","id":1}', '{"type":"fail","id":1}'])
async def test_answer_waits_while_the_outbox_is_crowded(message: str) -> None:
    """A client that asks faster than it reads is held back by its own inbox, and loses no answer."""
    session, _, link = session_of(Failing)
    crowded = asyncio.get_running_loop().create_future()
    link.crowded = [crowded]
    handling = asyncio.ensure_future(session.handle(message))  # type: ignore[arg-type]
    await passes(3)
    assert link.calls == []

    crowded.set_result(None)
    await handling

    assert len(link.calls) == 1


# ── The scope ──


@pytest.mark.parametrize("needs_scope", [True, False])
async def test_scope_is_kept_only_where_a_handler_needs_it(needs_scope: bool) -> None:
    """An idle connection owns nothing that it does not need."""
    got: list[object] = []

    async def call(consumer: ConsumerBase, args: tuple[object, ...], scope: Scope | None) -> None:
        got.append(scope)

    def bind(spec: HandlerSpec, /) -> Binding:
        return Binding(spec.parameters.get("message"), call, needs_scope=needs_scope)

    scope: Scope = {"type": "websocket"}
    session, _, _ = session_of(Mixed, bind=bind, scope=scope)
    for message in ('{"type":"plain"}', "text"):
        await session.handle(message)  # type: ignore[misc]

    assert got == [scope if needs_scope else None] * 2


# ── The end ──


class WithCode(Base):
    async def disconnect(self, code: int) -> None:
        self.got.append(code)


class WithoutCode(Base):
    async def disconnect(self) -> None:
        self.got.append("gone")


@pytest.mark.parametrize(("cls", "expected"), [(WithCode, [1001]), (WithoutCode, ["gone"])])
async def test_disconnect_is_called_with_the_code_if_it_takes_one(
    cls: type[Base], expected: list[object]
) -> None:
    """Both shapes of `disconnect` work."""
    session, consumer, _ = session_of(cls)
    awaitable = session.closed(1001)
    assert awaitable is not None
    await awaitable

    assert consumer.got == expected


async def test_without_disconnect_nothing_runs_at_the_end() -> None:
    """A consumer without a clean-up costs no task."""
    session, _, _ = session_of(Listener)

    assert session.closed(1000) is None


@pytest.mark.parametrize(
    ("error", "level"), [(ValueError("bug"), "ERROR"), (ConnectionClosed(1000), "DEBUG")]
)
async def test_error_in_disconnect_is_logged(
    error: Exception, level: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody is left to be told; using the dead connection is no bug worth a traceback."""

    class Bad(Base):
        async def disconnect(self) -> None:
            raise error

    session, _, link = session_of(Bad)
    with caplog.at_level(logging.DEBUG):
        awaitable = session.closed(1000)
        assert awaitable is not None
        await awaitable

    assert [record.levelname for record in caplog.records] == [level]
    assert link.calls == []
