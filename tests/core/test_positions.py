"""Positions and their text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomful.core.errors import PositionError
from roomful.core.positions import Position

epochs = st.text("abcXYZ019_-", min_size=1, max_size=32)


@given(epochs, st.integers(0, 10**19 - 1))
def test_position_text_reads_back(epoch: str, offset: int) -> None:
    """`parse` reads what `str` wrote."""
    position = Position(epoch, offset)

    assert Position.parse(str(position)) == position


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a:",
        ":1",
        "a:-1",
        "a:01",
        "a:1 ",
        " a:1",
        "a:1\n",
        "a:b",
        "é:1",
        "a:\u0661",
        "a" * 33 + ":1",
        "a:1" + "0" * 19,
    ],
)
def test_position_that_is_malformed_is_refused(text: str) -> None:
    """A text that no server wrote is no position; the error does not repeat it."""
    with pytest.raises(PositionError) as caught:
        Position.parse(text)

    assert str(caught.value) == "position is malformed; expected the text of a `pos` that the server sent"
