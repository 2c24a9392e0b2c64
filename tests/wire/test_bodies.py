"""Bodies: what is pushed, encoded once."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomful.core.envelope import Form
from roomful.core.errors import NotEncodable
from roomful.core.events import Event
from roomful.wire.bodies import join_binary, pack, split_binary


@pytest.mark.parametrize(
    ("message", "form", "body"),
    [
        (Event("post", {"n": 1}), Form.JSON, b'"type":"post","data":{"n":1}'),
        (Event("ping"), Form.JSON, b'"type":"ping","data":null'),
        (Event('quo"te', "é"), Form.JSON, '"type":"quo\\"te","data":"é"'.encode()),
        (Event("image", b"\x89PNG"), Form.BINARY, b'\x00\x0e"type":"image"\x89PNG'),
        (Event("image", bytearray(b"x")), Form.BINARY, b'\x00\x0e"type":"image"x'),
        (Event("image", memoryview(b"xyz")[1:]), Form.BINARY, b'\x00\x0e"type":"image"yz'),
        ("täxt", Form.TEXT, "täxt".encode()),
        (b"bytes", Form.BYTES, b"bytes"),
        (bytearray(b"bytes"), Form.BYTES, b"bytes"),
        (memoryview(b"bytes"), Form.BYTES, b"bytes"),
    ],
)
def test_pack_gives_each_message_its_form(message: Event | str | bytes, form: Form, body: bytes) -> None:
    """An event is the inside of its JSON object, or header and bytes; texts and bytes go as they are."""
    packed = pack(message)

    assert packed == (form, body)
    assert type(packed[1]) is bytes


def test_pack_copies_what_may_change() -> None:
    """A buffer that its owner changes after the push changes no frame."""
    buffer = bytearray(b"old")
    _, as_data = pack(Event("image", buffer))
    _, as_message = pack(buffer)
    buffer[:] = b"new"

    assert as_data.endswith(b"old")
    assert as_message == b"old"


@pytest.mark.parametrize("message", [None, 5, {"type": "post"}, ["a"], object])
def test_pack_of_what_is_no_message(message: object) -> None:
    """A dict is no event: the error says what was got and what was expected."""
    with pytest.raises(
        TypeError, match=f"message is of type {type(message).__name__}; expected Event, str or bytes"
    ):
        pack(message)  # type: ignore[arg-type] # bad input is the point


def test_pack_of_text_that_utf8_cannot_write() -> None:
    """A lone surrogate is refused where it is pushed and not where it is written; the error does not show the text."""
    with pytest.raises(NotEncodable, match=r"^text has a lone surrogate, which UTF-8 cannot write$"):
        pack("secret \ud800")
    with pytest.raises(NotEncodable, match="data of type str cannot be written as JSON"):
        pack(Event("post", "secret \ud800"))


@given(st.binary(max_size=300), st.binary(max_size=50))
def test_binary_body_splits_as_it_was_joined(header: bytes, data: bytes) -> None:
    """`split_binary` reads what `join_binary` wrote."""
    assert split_binary(join_binary(header, data)) == (header, data)


@given(st.binary(max_size=20))
def test_binary_body_of_a_client_splits_or_is_refused(body: bytes) -> None:
    """Whatever bytes come, there is a header and data, or a `ValueError`."""
    try:
        header, data = split_binary(body)
    except ValueError:
        return
    assert join_binary(header, data) == body


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "binary event has no header"),
        (b"\x00", "binary event has no header"),
        (b"\x00\x03ab", "binary event is 4 bytes; its header ends at 5"),
    ],
)
def test_binary_body_that_is_too_short_says_so(body: bytes, text: str) -> None:
    """The error says how long it is and how long it should be."""
    with pytest.raises(ValueError, match=f"^{text}$"):
        split_binary(body)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text('aé\n"\\☃ '),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
    max_leaves=8,
)


@given(json_values)
def test_json_body_completes_to_the_event(data: object) -> None:
    """Whatever the data, the body in braces is the event's JSON object."""
    _, body = pack(Event("post", data))

    assert json.loads(b"{" + body + b"}") == {"type": "post", "data": data}
