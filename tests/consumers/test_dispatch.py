"""What a consumer class does with dispatches."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import pytest

from roomful.consumers import ConsumerBase, Plan, Session, Threads, bind_plainly, on, on_dispatch
from roomful.core.dispatched import Dispatched, Missed
from roomful.core.envelope import Envelope
from roomful.core.errors import ConnectionClosed, ConsumerError, EventTypeError, InvalidState
from roomful.core.events import Event
from roomful.core.names import RoomName
from roomful.core.positions import Gap, Position
from roomful.wire import EventsCodec
from tests.fakes import FakeLink, FakePusher

GROUP = RoomName("alarms")
CODEC = EventsCodec()
GAP = Gap("full", "e", ((2, 3),))


class Alarm(msgspec.Struct):
    level: int


class Base(ConsumerBase):
    def __init__(self) -> None:
        self.got: list[Any] = []


class Alarms(Base):
    @on_dispatch("raised")
    async def raised(self, alarm: Alarm) -> None:
        self.got.append(alarm)

    @on_dispatch("cleared")
    async def cleared(self) -> None:
        self.got.append("cleared")

    @on_dispatch("image")
    def image(self, data: bytes) -> None:
        self.got.append(data)

    @on_dispatch("fails")
    async def fails(self) -> None:
        raise ValueError("in a handler")

    @on_dispatch("closed")
    async def closed(self) -> None:
        raise ConnectionClosed(1006)

    @on("raised")
    async def from_the_client(self, data: object) -> None:
        self.got.append(("client", data))

    async def on_gap(self, group: str, gap: Gap) -> None:
        self.got.append((group, gap))
        if gap.reason == "fails":
            raise ValueError("in on_gap")
        if gap.reason == "closed":
            raise ConnectionClosed(1006)


class NoGap(Base):
    @on_dispatch("raised")
    async def raised(self, alarm: object) -> None:
        self.got.append(alarm)


def session_of(cls: type[Base]) -> tuple[Session, Base, FakeLink]:
    link, consumer = FakeLink(), cls()
    consumer.bind(link, FakePusher(), {})  # type: ignore[arg-type] # a part of the port
    plan = Plan(cls, CODEC, partial(bind_plainly, threads=Threads(1)))
    return Session(consumer, link, plan, None), consumer, link


async def dispatched(session: Session, *events: Event | str) -> None:
    for number, event in enumerate(events, 1):
        awaitable = session.dispatched(Dispatched(GROUP, Position("e", number), Envelope(*CODEC.pack(event))))
        assert awaitable is not None
        await awaitable


async def test_dispatch_goes_to_its_method_decoded() -> None:
    """By the annotation of its parameter, binary events too; a method written with def runs in a thread."""
    session, consumer, link = session_of(Alarms)
    await dispatched(session, Event("raised", {"level": 3}), Event("cleared"), Event("image", b"\x89"))

    assert consumer.got == [Alarm(3), "cleared", b"\x89"]
    assert link.calls == []


async def test_client_reaches_no_method_of_dispatches() -> None:
    """Both have a registry of their own, also for one type."""
    session, consumer, link = session_of(Alarms)
    await session.handle('{"type":"raised","data":1}')
    await session.handle('{"type":"cleared","id":1}')

    assert consumer.got == [("client", 1)]
    assert link.calls == [("error", "unknown_type", "type 'cleared' is not known here", 1)]


async def test_dispatch_that_cannot_be_handled_is_logged_and_the_next_one_is_handled(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nobody waits for an answer, so the log has what went wrong; the client hears nothing of it."""
    session, consumer, link = session_of(Alarms)
    await dispatched(
        session,
        Event("fails"),
        Event("raised", {"level": "high"}),
        "a text",
        Event("unknown"),
        Event("closed"),
        Event("cleared"),
    )

    assert consumer.got == ["cleared"]
    assert link.calls == []
    assert [record.levelname for record in caplog.records] == ["ERROR"] * 3
    assert "high" not in caplog.text.replace("Traceback", "")


async def test_gap_is_told_to_on_gap_and_else_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """A consumer that does not ask for it can be found in the log."""
    session, consumer, _ = session_of(Alarms)
    for reason in ("full", "fails", "closed"):
        awaitable = session.dispatched(Missed(GROUP, Gap(reason, "e", ((2, 3),))))
        assert awaitable is not None
        await awaitable
    assert consumer.got[0] == ("alarms", GAP)
    assert len(consumer.got) == 3
    assert [record.levelname for record in caplog.records] == ["ERROR"]

    caplog.clear()
    caplog.set_level("DEBUG", "roomful.consumers")
    session, consumer, _ = session_of(NoGap)
    awaitable = session.dispatched(Missed(GROUP, GAP))
    assert awaitable is not None
    await awaitable
    assert consumer.got == []
    assert "alarms" in caplog.text


async def test_consumer_joins_groups_only_if_something_can_reach_it() -> None:
    """A class without handlers of dispatches would lose them all."""
    _, consumer, link = session_of(Alarms)
    await consumer.join_group("alarms")
    await consumer.leave_group("alarms")
    assert consumer.groups == frozenset()
    assert link.calls == [("join_group", "alarms"), ("leave_group", "alarms")]

    _, deaf, link = session_of(Base)
    with pytest.raises(InvalidState, match="no @on_dispatch method"):
        await deaf.join_group("alarms")
    assert link.calls == []


def two_handlers() -> type:
    class Two(Base):
        @on_dispatch("raised")
        async def one(self) -> None: ...

        @on_dispatch("raised")
        async def two(self) -> None: ...

    return Two


def wrong_gap() -> type:
    class Wrong(Base):
        async def on_gap(self, group: str) -> None: ...

    return Wrong


def plain_gap() -> type:
    class Wrong(Base):
        def on_gap(self, group: str, gap: Gap) -> None: ...

    return Wrong


def marked_connect() -> type:
    class Wrong(Base):
        @on_dispatch("raised")
        async def connect(self) -> None: ...

    return Wrong


def takes_too_much() -> object:
    class Wrong(Base):
        @on_dispatch("raised")
        async def raised(self, data: object, more: object) -> None: ...

    return session_of(Wrong)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (two_handlers, "two handlers for 'raised'"),
        (wrong_gap, r"on_gap\(self, group, gap\)"),
        (plain_gap, "expected async def"),
        (marked_connect, "@on_dispatch needs a method of its own"),
        (takes_too_much, "takes 'more'"),
        (lambda: on_dispatch(lambda: None), "without a type"),  # type: ignore[arg-type, type-var] # a mistake
        (lambda: on_dispatch("raised")(7), "expected a method"),  # type: ignore[type-var] # a mistake
    ],
)
def test_class_that_is_written_wrongly_is_refused(make: Callable[[], object], text: str) -> None:
    """Found when the class or its route is made."""
    with pytest.raises(ConsumerError, match=text):
        make()


def test_reserved_type_is_refused() -> None:
    """Types of the library are its own, here too."""
    with pytest.raises(EventTypeError):
        on_dispatch("roomful.x")
