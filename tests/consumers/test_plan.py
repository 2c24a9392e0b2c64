"""The plan: a consumer class made ready to run."""

from __future__ import annotations

import inspect
from functools import partial

import pytest

from roomful.consumers import Binding, ConsumerBase, HandlerSpec, Plan, Threads, bind_plainly, on
from roomful.core.errors import ConsumerError
from roomful.core.ports import Inbound
from roomful.wire import EventsCodec

THREADS = Threads(1)
PLAINLY = partial(bind_plainly, threads=THREADS)


def plan_of(cls: type[ConsumerBase]) -> Plan:
    return Plan(cls, EventsCodec(), PLAINLY)


class Full(ConsumerBase):
    @on("plain")
    async def plain(self) -> str:
        return "plain"

    @on("typed")
    async def typed(self, message: dict[str, int], times: int = 2) -> int:
        return message["n"] * times

    @on("any")
    async def any(self, message) -> object:  # type: ignore[no-untyped-def]
        return message

    @on("sync")
    def sync(self, message: int) -> int:
        return message + 1

    async def receive(self, message: str) -> str:
        return message

    async def disconnect(self, code: int) -> None: ...


def test_plan_knows_what_its_class_needs() -> None:
    """Decoders are chosen once; nothing binary is taken and no scope kept unless a handler asks for it."""
    plan = plan_of(Full)

    assert set(plan.events) == {"plain", "typed", "any", "sync"}
    assert plan.events["plain"].decode is None
    assert plan.receive is not None
    assert (plan.takes_binary_events, plan.keeps_scope, plan.disconnect_takes_code) == (False, False, True)
    assert plan.consumer is Full


async def test_calls_reach_the_methods_with_decoded_data() -> None:
    """A handler gets what its annotation asks for, and defaults for the rest."""
    plan = plan_of(Full)
    consumer = Full()
    results = {}
    for type_, data in [("plain", b"null"), ("typed", b'{"n":3}'), ("any", b"[1]"), ("sync", b"4")]:
        event = plan.events[type_]
        args = () if event.decode is None else (event.decode(Inbound(type_, data)),)
        results[type_] = await event.call(consumer, args, None)
    assert plan.receive is not None

    assert results == {"plain": "plain", "typed": 6, "any": [1], "sync": 5}
    assert await plan.receive.call(consumer, (plan.receive.decode("hi"),), None) == "hi"
    THREADS.stop()


def test_handler_that_takes_bytes_makes_binary_messages_events() -> None:
    """Only then are binary messages read as events."""

    class Images(ConsumerBase):
        @on("image")
        async def image(self, message: bytes) -> None: ...

    assert plan_of(Images).takes_binary_events


def test_empty_class_has_an_empty_plan() -> None:
    """A consumer that only listens needs nothing."""

    class Listener(ConsumerBase):
        async def disconnect(self) -> None: ...

    plan = plan_of(Listener)

    assert (plan.events, plan.receive, plan.disconnect_takes_code) == ({}, None, False)


@pytest.mark.parametrize("method", ["a", "receive"])
def test_further_parameter_that_nothing_fills_is_refused(method: str) -> None:
    """Without a framework there is nothing to take dependencies from."""

    async def handle(self: object, message: str, session: object) -> None: ...

    cls = type("Needy", (ConsumerBase,), {method: handle if method == "receive" else on("a")(handle)})

    with pytest.raises(
        ConsumerError, match="handle takes 'session' beside its message, which nothing here can fill"
    ):
        plan_of(cls)


@pytest.mark.parametrize("method", ["a", "receive"])
def test_message_type_that_nothing_decodes_is_refused(method: str) -> None:
    """A handler that could never be called is found when the route is made."""

    async def handle(self: object, message: complex) -> None: ...

    cls = type("Odd", (ConsumerBase,), {method: handle if method == "receive" else on("a")(handle)})

    with pytest.raises(ConsumerError, match="handle: messages cannot be decoded to"):
        plan_of(cls)


def test_binding_from_outside_decides() -> None:
    """A framework's binding says which parameter is the message and whether the scope must be kept."""
    seen: list[str] = []

    async def call(consumer: ConsumerBase, args: tuple[object, ...], scope: object) -> object:
        return scope

    def bind(spec: HandlerSpec, /) -> Binding:
        seen.append(spec.name)
        return Binding(spec.parameters.get("message"), call, needs_scope=spec.name == "receive")

    plan = Plan(Full, EventsCodec(), bind)

    assert sorted(seen) == ["any", "plain", "receive", "sync", "typed"]
    assert plan.keeps_scope
    assert plan.events["typed"].call is call


def test_receive_that_is_bound_without_a_message_is_refused() -> None:
    """Whatever binds it, `receive` is there to take messages."""

    async def call(consumer: ConsumerBase, args: tuple[object, ...], scope: object) -> object:
        return None

    with pytest.raises(ConsumerError, match=r"Full\.receive takes no message"):
        Plan(Full, EventsCodec(), lambda spec: Binding(None, call))


def test_plain_binding_names_its_message() -> None:
    """The first parameter is the message."""
    spec = plan_of(Full).definition.events["typed"]
    binding = PLAINLY(spec)

    assert isinstance(binding.message, inspect.Parameter)
    assert (binding.message.name, binding.needs_scope) == ("message", False)
