"""Control messages: read only where they are ones, and never repeated in an error."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomful.core.errors import InvalidMessage
from roomful.wire import AUTHENTICATE, REFRESH, Control, may_be_control, read_control


@pytest.mark.parametrize("type_", [AUTHENTICATE, REFRESH])
def test_control_message_is_read(type_: str) -> None:
    """Whatever the order of its fields, with an id or without."""
    assert read_control(f'{{"type":"{type_}","data":{{"token":"t"}}}}') == Control(type_, "t", None)
    assert read_control(f'{{"id":7,"data":{{"token":"t","x":1}},"type":"{type_}"}}') == Control(type_, "t", 7)


@pytest.mark.parametrize(
    "message", ["", "hello", "[]", '{"type":"post"}', '{"type":"roomful.other"}', '{"type":7}', "[" * 9000]
)
def test_other_message_is_none(message: str) -> None:
    """Whoever reads events says what is wrong with it, if anything is."""
    assert read_control(message) is None


@pytest.mark.parametrize("data", ["null", "7", "{}", '{"token":7}', '{"token":null}', '{"secret":"planted"}'])
def test_control_message_without_a_token_is_an_error(data: str) -> None:
    """The error names the field, the id, and nothing that was sent."""
    with pytest.raises(InvalidMessage) as caught:
        read_control(f'{{"type":"{REFRESH}","data":{data},"id":3}}')

    assert (caught.value.code, caught.value.message, caught.value.id) == (
        "invalid_message",
        "data has no token",
        3,
    )


def test_long_and_binary_messages_are_not_looked_at() -> None:
    """A search through sixteen megabytes for each of them would cost."""
    assert may_be_control('{"type":"roomful.refresh"}')
    assert not may_be_control(b'{"type":"roomful.refresh"}')
    assert not may_be_control('{"type":"roomful.refresh"}' + " " * 20_000)
    assert not may_be_control('{"type":"post"}')


def test_repr_shows_no_token() -> None:
    """Tracebacks show arguments."""
    assert repr(Control(REFRESH, "planted", 1)) == "Control('roomful.refresh', …)"


@given(st.text(max_size=100) | st.text(max_size=50).map(lambda text: f'{{"type":"roomful.refresh",{text}}}'))
def test_no_text_raises_anything_else(message: str) -> None:
    """A control message, none, or an error."""
    try:
        found = read_control(message)
    except InvalidMessage:
        return
    assert found is None or found.type in (AUTHENTICATE, REFRESH)
