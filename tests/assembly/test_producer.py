"""What a producer refuses before it connects."""

import pytest

from roomful import Event, Producer
from roomful.core.errors import PushKeyError

NOWHERE = "redis://127.0.0.1:1"


@pytest.mark.parametrize("key", ["", "x" * 201, "a\nb"])
async def test_producer_refuses_a_key_that_no_layer_should_keep(key: str) -> None:
    """At once, whether or not the server can be reached."""
    with pytest.raises(PushKeyError):
        await Producer(NOWHERE).apush("room", Event("news"), key=key)


def test_producer_refuses_such_a_key_in_threads_too() -> None:
    """Likewise."""
    with pytest.raises(PushKeyError):
        Producer(NOWHERE).push("room", Event("news"), key="x" * 201)
