"""The plan: a consumer class made ready to run, its decoders chosen and its calls bound.

Made once per route. What a handler's further parameters are (dependencies of a framework) is decided by a `Bind` from
outside.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

from ..core.errors import ConsumerError
from ..core.ports import Codec, Inbound
from .definition import Definition, HandlerSpec, definition_of

if TYPE_CHECKING:
    from .consumer import ConsumerBase, Scope
    from .threads import Threads

D = TypeVar("D")

__all__ = ("Bind", "Binding", "BoundCall", "EventPlan", "Plan", "ReceivePlan", "bind_plainly")

BoundCall: TypeAlias = Callable[["ConsumerBase", tuple[object, ...], "Scope | None"], Awaitable[object]]
"""Calls a handler of a consumer with its message, if it takes one, and the scope, if `Binding.needs_scope`."""


@dataclass(frozen=True, slots=True)
class Binding:
    """How a handler is called.

    Attributes:
        message: The parameter that takes the message, if there is one.
        call: The call itself.
        needs_scope: Whether the handshake's scope must be kept for it.
        method: The method itself, where it takes the consumer and the message and nothing else.
    """

    message: inspect.Parameter | None
    call: BoundCall
    needs_scope: bool = False
    method: Callable[[ConsumerBase, Any], Awaitable[object]] | None = None


class Bind(Protocol):
    """Decides what the parameters of a handler are."""

    def __call__(self, spec: HandlerSpec, /) -> Binding:
        """Return how to call the handler.

        Raises:
            ConsumerError: A parameter cannot be filled.
        """


@dataclass(frozen=True, slots=True)
class EventPlan:
    """What happens to one event type; `method` is `Binding.method`."""

    decode: Callable[[Inbound], object] | None
    call: BoundCall
    method: Callable[[ConsumerBase, Any], Awaitable[object]] | None


@dataclass(frozen=True, slots=True)
class ReceivePlan:
    """What happens to a message that is not an event."""

    decode: Callable[[str | bytes], object]
    call: BoundCall


class Plan:
    """What a consumer class does with messages.

    Attributes:
        consumer: The class.
        codec: Reads messages.
        events: What happens to each event type.
        dispatches: What happens to each event type that is dispatched.
        receive: What happens to other messages, if anything.
        takes_binary_events: Whether a handler takes `bytes`, so that binary messages are read as events.
        keeps_scope: Whether a handler needs the handshake's scope.
        disconnect_takes_code: Whether `disconnect` has a parameter.
        verbatim: The type of those messages that go to `verbatim_method` as they are, unread: `str` or `bytes`, where
            nothing else takes them; or None.
        verbatim_method: `receive` itself.
    """

    __slots__ = (
        "codec",
        "consumer",
        "definition",
        "disconnect_takes_code",
        "dispatches",
        "events",
        "keeps_scope",
        "receive",
        "takes_binary_events",
        "verbatim",
        "verbatim_method",
    )

    def __init__(self, consumer: type[ConsumerBase], codec: Codec, bind: Bind) -> None:
        definition = definition_of(consumer)
        self.consumer: type[ConsumerBase] = consumer
        self.codec: Codec = codec
        self.definition: Definition = definition
        self.events: dict[str, EventPlan] = {}
        self.dispatches: dict[str, EventPlan] = {}
        self.receive: ReceivePlan | None = None
        self.takes_binary_events: bool = False
        self.keeps_scope: bool = False
        self.verbatim: type | None = None
        self.verbatim_method: Callable[[ConsumerBase, Any], Awaitable[object]] | None = None
        for plans, specs in ((self.events, definition.events), (self.dispatches, definition.dispatches)):
            for type_, spec in specs.items():
                binding = bind(spec)
                annotation = _annotation(binding.message)
                plans[type_] = EventPlan(
                    None if annotation is None else _made(spec, codec.decoder, annotation),
                    binding.call,
                    binding.method,
                )
                self.takes_binary_events |= annotation is bytes and plans is self.events
                self.keeps_scope |= binding.needs_scope
        if definition.receive is not None:
            binding = bind(definition.receive)
            annotation = _annotation(binding.message)
            if annotation is None:
                raise ConsumerError(f"{consumer.__qualname__}.receive takes no message")
            self.receive = ReceivePlan(
                _made(definition.receive, codec.message_decoder, annotation), binding.call
            )
            self.keeps_scope |= binding.needs_scope
            if not self.events and binding.method is not None and annotation in (str, bytes):
                self.verbatim = str if annotation is str else bytes
                self.verbatim_method = binding.method
        self.disconnect_takes_code: bool = definition.disconnect is not None and bool(
            definition.disconnect.parameters
        )


def _made(spec: HandlerSpec, make: Callable[[object], D], annotation: object) -> D:
    try:
        return make(annotation)
    except ConsumerError as error:
        raise ConsumerError(f"{spec.function.__qualname__}: {error}") from None


def _annotation(parameter: inspect.Parameter | None) -> object | None:
    if parameter is None:
        return None
    return object if parameter.annotation is inspect.Parameter.empty else parameter.annotation


def bind_plainly(spec: HandlerSpec, *, threads: Threads) -> Binding:
    """Bind a handler whose only parameter is the message.

    Raises:
        ConsumerError: It has further parameters without a default.
    """
    message, *others = spec.parameters.values() or (None,)
    for parameter in others:
        if parameter.default is parameter.empty:
            raise ConsumerError(
                f"{spec.function.__qualname__} takes {parameter.name!r} beside its message, which nothing here can fill"
            )
    function = spec.function
    if spec.is_async:

        def call(consumer: ConsumerBase, args: tuple[object, ...], _scope: Scope | None) -> Awaitable[object]:
            result: Awaitable[object] = function(consumer, *args)
            return result
    else:

        def call(consumer: ConsumerBase, args: tuple[object, ...], _scope: Scope | None) -> Awaitable[object]:
            return threads.run(partial(function, consumer, *args))

    return Binding(message, call, method=function if spec.is_async and message is not None else None)
