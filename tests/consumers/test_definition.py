"""The definition of a consumer class: what is read from it, and what is refused when it is made."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from roomful.consumers import ConsumerBase, Definition, definition_of, on
from roomful.consumers.definition import RESERVED_NAMES
from roomful.core.errors import ConsumerError, EventTypeError


class Chat(ConsumerBase):
    async def connect(self, room: str, limit: int = 5) -> None: ...

    @on("post")
    @on("post.edit")
    async def post(self, message: dict[str, str], extra: int = 0) -> int:
        return extra

    @on("count")
    def count(self) -> int:
        return 1

    async def receive(self, message: str) -> None: ...

    async def disconnect(self, code: int) -> None: ...

    async def helper(self) -> None: ...


def test_definition_lists_what_a_class_handles() -> None:
    """Each marked method stands under its types, the three of a life by themselves, and nothing else at all."""
    definition = definition_of(Chat)

    assert {type_: spec.name for type_, spec in definition.events.items()} == {
        "post": "post",
        "post.edit": "post",
        "count": "count",
    }
    post = definition.events["post"]
    assert post.type == "post"
    assert post.function is Chat.post
    assert {name: p.annotation for name, p in post.parameters.items()} == {
        "message": dict[str, str],
        "extra": int,
    }
    assert (post.is_async, definition.events["count"].is_async) == (True, False)
    assert definition.connect is not None
    assert list(definition.connect.parameters) == ["room", "limit"]
    assert definition.receive is not None
    assert definition.disconnect is not None


def test_definition_of_a_class_that_handles_nothing() -> None:
    """All methods are optional."""

    class Listener(ConsumerBase):
        pass

    assert definition_of(Listener) == Definition(None, None, None, None, {}, {})


def test_subclass_inherits_and_overrides() -> None:
    """A subclass handles what its bases handle; a type or a method that it defines anew is its own."""

    class Loud(Chat):
        @on("count")
        async def louder(self) -> int:
            return 11

        async def post(self, message: dict[str, str], extra: int = 0) -> int:
            return 2

    events = definition_of(Loud).events
    assert events["count"].function is Loud.louder
    assert events["post"].function is Loud.post
    assert events["post.edit"].function is Loud.post
    assert definition_of(Chat).events["count"].function is Chat.count


def test_handlers_come_from_mixins_too() -> None:
    """A plain class may carry handlers for several consumers."""

    class Pinging:
        @on("ping")
        async def ping(self) -> None: ...

    class Pinged(Pinging, ConsumerBase):
        pass

    assert list(definition_of(Pinged).events) == ["ping"]


def test_client_text_never_names_an_attribute() -> None:
    """The registry holds what was marked, and neither methods nor attributes of the class."""
    assert set(definition_of(Chat).events).isdisjoint({*dir(Chat), "close", "send"} - {"post", "count"})


def test_annotations_of_a_local_class_are_resolved() -> None:
    """Annotations that are texts may name what is local to the function that makes the class."""

    class Local:
        pass

    class Consumer(ConsumerBase):
        @on("a")
        async def a(self, message: Local) -> None: ...

    assert definition_of(Consumer).events["a"].parameters["message"].annotation is Local


# ── What is refused ──


@pytest.mark.parametrize("name", sorted(RESERVED_NAMES))
def test_name_that_a_consumer_provides_is_refused(name: str) -> None:
    """A class that redefines what Roomful gives it is refused when it is made."""
    with pytest.raises(
        ConsumerError, match=rf"Bad\.{name} redefines what Consumer provides; choose another name"
    ):
        type("Bad", (ConsumerBase,), {name: lambda self: None})


@pytest.mark.parametrize("name", ["send", "bind"])
def test_name_that_a_mixin_takes_is_refused(name: str) -> None:
    """A mixin that stands before the consumer would hide what it provides just as well."""
    mixin = type("Mixin", (), {name: lambda self: None})

    with pytest.raises(ConsumerError, match=rf"Mixin\.{name} redefines what Consumer provides"):
        type("Bad", (mixin, ConsumerBase), {})


def test_everything_public_that_a_consumer_has_is_reserved() -> None:
    """No public name of the base can be redefined by accident."""
    provided = {name for name in vars(ConsumerBase) if not name.startswith("_")} - {"owns_wire"}

    assert provided <= RESERVED_NAMES


@pytest.mark.parametrize("type_", ["roomful.gap", "", "a\n", 5])
def test_type_that_an_event_may_not_have_is_refused(type_: str) -> None:
    """A handler for a type that no client may send is a mistake."""
    with pytest.raises(EventTypeError):
        on(type_)


@pytest.mark.parametrize("marked", [5, len, int, staticmethod(lambda: None)])
def test_mark_wants_a_method(marked: object) -> None:
    """Only methods can handle events."""
    with pytest.raises(
        ConsumerError, match=r"@on\('post'\) marks .*; expected a method written with def or async def"
    ):
        on("post")(marked)  # type: ignore[type-var] # bad input is the point


def test_mark_without_a_type_is_refused() -> None:
    """`@on` alone says how to write it."""

    async def post(self: object) -> None: ...

    with pytest.raises(ConsumerError, match=r"@on stands without a type; write @on\('…'\)"):
        on(post)  # type: ignore[arg-type] # bad input is the point


def two_handlers() -> type:
    class Twice(ConsumerBase):
        @on("a")
        async def one(self) -> None: ...

        @on("a")
        async def two(self) -> None: ...

    return Twice


def marked_life() -> type:
    class Marked(ConsumerBase):
        @on("a")
        async def receive(self, message: str) -> None: ...

    return Marked


def sync_connect() -> type:
    class Sync(ConsumerBase):
        def connect(self) -> None: ...

    return Sync


def receive_nothing() -> type:
    class Deaf(ConsumerBase):
        async def receive(self) -> None: ...

    return Deaf


def disconnect_much() -> type:
    class Much(ConsumerBase):
        async def disconnect(self, code: int, reason: str) -> None: ...

    return Much


def star_arguments() -> type:
    class Star(ConsumerBase):
        @on("a")
        async def a(self, *messages: str) -> None: ...

    return Star


def keyword_arguments() -> type:
    class Star(ConsumerBase):
        async def connect(self, **parameters: str) -> None: ...

    return Star


def unknown_annotation() -> type:
    class Unknown(ConsumerBase):
        @on("a")
        async def a(self, message: Nowhere) -> None: ...  # type: ignore[name-defined] # noqa: F821 -- the point

    return Unknown


def no_method() -> type:
    class NoMethod(ConsumerBase):
        connect = 5

    return NoMethod


def overridden_by_data() -> type:
    class Lost(Chat):
        post = None  # type: ignore[assignment]

    return Lost


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (two_handlers, "Twice has two handlers for 'a': one and two"),
        (marked_life, r"Marked\.receive is called by itself; @on needs a method of its own"),
        (sync_connect, r"Sync\.connect is written with def; expected async def"),
        (receive_nothing, r"Deaf\.receive takes no message; expected receive\(self, message\)"),
        (disconnect_much, r"Much\.disconnect takes several parameters; expected disconnect\(self, code\)"),
        (star_arguments, r"Star\.a takes \*messages; name each parameter"),
        (keyword_arguments, r"Star\.connect takes \*parameters; name each parameter"),
        (unknown_annotation, r"Unknown\.a has an annotation that cannot be resolved.*Nowhere"),
        (no_method, r"NoMethod\.connect is not a method; expected def or async def"),
        (overridden_by_data, r"Lost\.post is not a method; expected def or async def"),
    ],
)
def test_class_that_cannot_work_is_refused_when_it_is_made(make: Callable[[], type], text: str) -> None:
    """A mistake of the author is found before the first client comes, and named."""
    with pytest.raises(ConsumerError, match=text):
        make()


@pytest.mark.parametrize("cls", [int, ConsumerBase])
def test_definition_of_what_is_no_consumer(cls: type) -> None:
    """Only a class that was derived and checked can be served."""
    with pytest.raises(ConsumerError, match=r"is not a consumer; derive it from roomful\.Consumer"):
        definition_of(cls)
