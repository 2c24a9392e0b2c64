"""Which layer a URL names."""

import pytest

from roomful.assembly.layer_url import layer_from_url
from roomful.core.errors import LayerError
from roomful.layers.memory import MemoryLayer


def test_memory_url_names_a_new_memory_layer() -> None:
    """Each URL makes a layer of its own."""
    first, second = layer_from_url("memory://"), layer_from_url("memory://ignored")

    assert isinstance(first, MemoryLayer)
    assert first is not second


@pytest.mark.parametrize(
    ("url", "scheme"),
    [("", ""), ("memory", "memory"), ("memory:", "memory:"), ("amqp://user:secret@host/1", "amqp")],
)
def test_url_without_a_layer_is_refused(url: str, scheme: str) -> None:
    """The error names the scheme and not the rest of the URL, which may hold a password."""
    with pytest.raises(LayerError) as caught:
        layer_from_url(url)

    assert str(caught.value).startswith(
        f"no layer for URLs that begin with {scheme!r}; expected memory://, redis://"
    )
