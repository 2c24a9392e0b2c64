"""The consumer as applications derive it."""

import pytest

from roomful import Consumer, Hub
from roomful.consumers import ConsumerBase
from roomful.core.errors import ConsumerError
from roomful.endpoint import ConsumerApp


class Chat(Consumer):
    async def receive(self, message: str) -> None: ...


def test_consumer_becomes_an_application() -> None:
    """`as_asgi` names the class, and checks it at once."""
    app = Chat.as_asgi(hub=Hub())

    assert isinstance(app, ConsumerApp)
    assert repr(app) == "<ConsumerApp Chat>"


def test_consumer_that_cannot_be_served_is_refused_when_its_route_is_made() -> None:
    """A message that nothing decodes is found before the first client comes."""

    class Odd(Consumer):
        async def receive(self, message: complex) -> None: ...

    with pytest.raises(ConsumerError):
        Odd.as_asgi(hub=Hub())


def test_as_asgi_is_ours() -> None:
    """Also this name cannot be redefined."""
    with pytest.raises(
        ConsumerError, match=r"Bad\.as_asgi redefines what Consumer provides; choose another name"
    ):
        type("Bad", (Consumer,), {"as_asgi": None})


def test_consumer_may_own_its_wire() -> None:
    """The class argument passes through."""

    class Raw(Consumer, owns_wire=True):
        pass

    assert Raw.owns_wire
    assert issubclass(Raw, ConsumerBase)
