"""The definition of a consumer class: which event type goes to which of its methods, read once when the class is made.

A client's text is only ever looked up in this registry; it never names an attribute.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from ..core.errors import ConsumerError
from ..core.events import check_event_type

__all__ = ("RESERVED_NAMES", "Definition", "HandlerSpec", "define", "definition_of", "on", "on_dispatch")

RESERVED_NAMES: Final = frozenset(
    (
        "accept",
        "bind",
        "close",
        "connection",
        "forget_scope",
        "groups",
        "hub",
        "id",
        "join",
        "join_group",
        "leave",
        "leave_group",
        "principal",
        "push",
        "rooms",
        "scope",
        "send",
        "send_presence",
    )
)
"""What a consumer gets from Roomful; a class that redefines one of these is refused."""

_LIFE: Final = ("connect", "receive", "disconnect", "on_gap")
_MARK: Final = "__roomful_on__"
_DISPATCH_MARK: Final = "__roomful_on_dispatch__"
_DEFINITION: Final = "__roomful_definition__"

F = TypeVar("F", bound=Callable[..., object])


@dataclass(frozen=True, slots=True)
class HandlerSpec:
    """One method that handles something.

    Attributes:
        name: The method's name.
        type: The event type, or None for what has none, as `connect` and `receive`.
        function: The method, unbound.
        parameters: Its parameters without `self`, with resolved annotations where they can be resolved.
        is_async: Whether it is `async def`; otherwise it runs in a thread.
    """

    name: str
    type: str | None
    function: Callable[..., Any]
    parameters: Mapping[str, inspect.Parameter]
    is_async: bool


@dataclass(frozen=True, slots=True)
class Definition:
    """What a consumer class handles."""

    connect: HandlerSpec | None
    receive: HandlerSpec | None
    disconnect: HandlerSpec | None
    on_gap: HandlerSpec | None
    events: Mapping[str, HandlerSpec]
    dispatches: Mapping[str, HandlerSpec]


def on(type: str) -> Callable[[F], F]:
    """Mark a method of a consumer as the handler of an event type.

    Args:
        type: The `type` of the client's message.

    Raises:
        EventTypeError: The type is reserved or not a name.
    """
    return _marking("@on", _MARK, type)


def on_dispatch(type: str) -> Callable[[F], F]:
    """Mark a method of a consumer as the handler of what is dispatched to its groups with an event type.

    No client can reach it: dispatches and clients' messages are two registries, and a type in one means nothing in the
    other.

    Args:
        type: The `type` of the event.

    Raises:
        EventTypeError: The type is reserved or not a name.
    """
    return _marking("@on_dispatch", _DISPATCH_MARK, type)


def _marking(decorator: str, mark: str, type: str) -> Callable[[F], F]:
    if callable(type):
        raise ConsumerError(f"{decorator} stands without a type; write {decorator}('…')")
    check_event_type(type)

    def marked(function: F) -> F:
        if not inspect.isfunction(function):
            raise ConsumerError(
                f"{decorator}({type!r}) marks {function!r}; expected a method written with def or async def"
            )
        setattr(function, mark, (*getattr(function, mark, ()), type))
        return function

    return marked


def define(cls: type, *, provider: type) -> None:
    """Check a consumer class and note its definition.

    Args:
        cls: The class.
        provider: The base from which it gets what `RESERVED_NAMES` lists.

    Raises:
        ConsumerError: It redefines a reserved name, has two handlers for one type, or a method of the wrong shape.
    """
    for base in cls.__mro__:
        for name in () if issubclass(provider, base) else sorted(RESERVED_NAMES & vars(base).keys()):
            raise ConsumerError(
                f"{base.__qualname__}.{name} redefines what Consumer provides; choose another name"
            )
    events, dispatches = _marked(cls, "@on", _MARK), _marked(cls, "@on_dispatch", _DISPATCH_MARK)
    life = [_spec(cls, name, None) if hasattr(cls, name) else None for name in _LIFE]
    connect, receive, disconnect, on_gap = life
    for spec in life:
        if spec is not None and not spec.is_async:
            raise ConsumerError(f"{cls.__qualname__}.{spec.name} is written with def; expected async def")
    if receive is not None and not receive.parameters:
        raise ConsumerError(f"{cls.__qualname__}.receive takes no message; expected receive(self, message)")
    if disconnect is not None and len(disconnect.parameters) > 1:
        raise ConsumerError(
            f"{cls.__qualname__}.disconnect takes several parameters; expected disconnect(self, code)"
        )
    if on_gap is not None and len(on_gap.parameters) != 2:
        raise ConsumerError(f"{cls.__qualname__}.on_gap has other parameters than on_gap(self, group, gap)")
    setattr(cls, _DEFINITION, Definition(connect, receive, disconnect, on_gap, events, dispatches))


def _marked(cls: type, decorator: str, mark: str) -> dict[str, HandlerSpec]:
    names: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        here: dict[str, str] = {}
        for name, function in vars(base).items():
            for type_ in getattr(function, mark, ()):
                if type_ in here:
                    raise ConsumerError(
                        f"{base.__qualname__} has two handlers for {type_!r}: {here[type_]} and {name}"
                    )
                if name in _LIFE:
                    raise ConsumerError(
                        f"{base.__qualname__}.{name} is called by itself; {decorator} needs a method of its own"
                    )
                here[type_] = name
        names.update(here)
    return {type_: _spec(cls, name, type_) for type_, name in names.items()}


def definition_of(cls: type) -> Definition:
    """Return what `define` noted."""
    definition = getattr(cls, _DEFINITION, None)
    if not isinstance(definition, Definition):
        raise ConsumerError(f"{cls!r} is not a consumer; derive it from roomful.Consumer")
    return definition


def _spec(cls: type, name: str, type_: str | None) -> HandlerSpec:
    function = inspect.getattr_static(cls, name)
    if not inspect.isfunction(function):
        raise ConsumerError(f"{cls.__qualname__}.{name} is not a method; expected def or async def")
    try:
        signature = _signature(function)
    except NameError as error:
        raise ConsumerError(
            f"{cls.__qualname__}.{name} has an annotation that cannot be resolved when the class is made: {error}"
        ) from None
    parameters = list(signature.parameters.values())[1:]
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise ConsumerError(f"{cls.__qualname__}.{name} takes *{parameter.name}; name each parameter")
    return HandlerSpec(
        name, type_, function, {p.name: p for p in parameters}, inspect.iscoroutinefunction(function)
    )


def _signature(function: Callable[..., object]) -> inspect.Signature:
    try:
        return inspect.signature(function, eval_str=True)
    except NameError:
        # Annotations that are texts may name what is local to the function in which the class is made.
        frame = inspect.currentframe()
        while frame is not None and frame.f_globals.get("__name__", "").startswith("roomful."):
            frame = frame.f_back
        return inspect.signature(function, locals=None if frame is None else frame.f_locals, eval_str=True)
