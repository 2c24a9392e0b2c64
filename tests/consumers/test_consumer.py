"""The consumer: what its methods ask of its connection and its hub."""

from __future__ import annotations

import asyncio

import pytest

from roomful.consumers import ConsumerBase, Scope
from roomful.core.errors import InvalidState
from roomful.core.events import Event
from roomful.core.positions import Position
from tests.clock import passes
from tests.fakes import FakeLink, FakePusher


class Chat(ConsumerBase):
    pass


@pytest.fixture
def link() -> FakeLink:
    return FakeLink()


@pytest.fixture
def consumer(link: FakeLink) -> Chat:
    scope: Scope = {"type": "websocket", "path": "/ws"}
    chat = Chat()
    chat.bind(link, FakePusher(), scope)
    return chat


async def test_methods_reach_the_connection(consumer: Chat, link: FakeLink) -> None:
    """A consumer's own methods are its connection's."""
    await consumer.accept(subprotocol="chat", headers={"X-A": "1"})
    assert (await consumer.join("lobby")).position == Position("e", 0)
    await consumer.send(Event("hi"))
    await consumer.leave("lobby")
    await consumer.close(4500, "out")

    assert link.calls == [
        ("accept", "chat", {"X-A": "1"}),
        ("join", "lobby"),
        ("send", Event("hi")),
        ("leave", "lobby"),
        ("close", 4500, "out"),
    ]


async def test_defaults_are_the_plain_ones(consumer: Chat, link: FakeLink) -> None:
    """Accepting and closing need no arguments."""
    await consumer.accept()
    await consumer.close()

    assert link.calls == [("accept", None, {}), ("close", 1000, "")]


async def test_consumer_knows_its_connection_hub_and_rooms(consumer: Chat, link: FakeLink) -> None:
    """What a handler needs to address itself and others."""
    await consumer.join("lobby")

    assert consumer.id == link.id
    assert consumer.rooms == {"lobby"}
    assert consumer.connection is link
    assert isinstance(consumer.hub, FakePusher)


async def test_scope_is_there_during_connect_alone(consumer: Chat) -> None:
    """An idle connection keeps no scope; who asks later is told what to do."""
    assert consumer.scope["path"] == "/ws"

    consumer.forget_scope()

    with pytest.raises(InvalidState, match="scope is released when connect has returned; copy what you need"):
        _ = consumer.scope


async def test_send_waits_while_the_outbox_is_crowded(consumer: Chat, link: FakeLink) -> None:
    """A handler that sends without end is held back by its client, and sends once there is room."""
    loop = asyncio.get_running_loop()
    first, second = loop.create_future(), loop.create_future()
    link.crowded = [first, second]
    sending = asyncio.ensure_future(consumer.send("a"))
    await passes(2)
    first.set_result(None)
    await passes(2)
    assert link.calls == []

    second.set_result(None)
    await sending

    assert link.calls == [("send", "a")]


def test_class_says_whether_it_owns_its_wire() -> None:
    """The choice is made with the class, inherited, and may be taken back."""

    class Raw(ConsumerBase, owns_wire=True):
        pass

    class StillRaw(Raw):
        pass

    class Cooked(Raw, owns_wire=False):
        pass

    assert [cls.owns_wire for cls in (Chat, Raw, StillRaw, Cooked)] == [False, True, True, False]


def test_other_bases_get_their_arguments() -> None:
    """A consumer does not keep class arguments from the classes beside it."""
    got: list[object] = []

    class Other:
        def __init_subclass__(cls, *, colour: str, **kwargs: object) -> None:
            got.append(colour)
            super().__init_subclass__(**kwargs)

    class Both(ConsumerBase, Other, colour="red"):
        pass

    assert got == ["red"]
    assert Both.owns_wire is False
