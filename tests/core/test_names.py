"""Names of rooms and connections."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomful.core.errors import PushKeyError, RoomNameError
from roomful.core.names import (
    MAX_PUSH_KEY_BYTES,
    MAX_ROOM_NAME_BYTES,
    ConnectionId,
    new_connection_id,
    node_of,
    push_key,
    room_name,
)


@given(st.text())
def test_room_name_takes_printable_text_within_its_bytes(text: str) -> None:
    """A name is any printable text that is not empty and not too long; it is returned as it is."""
    fits = text.isprintable() and 0 < len(text.encode(errors="replace")) <= 20

    if fits:
        assert room_name(text, max_bytes=20) == text
    else:
        with pytest.raises(RoomNameError):
            room_name(text, max_bytes=20)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5, "room name is of type int; expected str"),
        (b"a", "room name is of type bytes; expected str"),
        ("", "room name is empty; expected at least one character"),
        ("a\nb", r"room name 'a\nb' has a character that is not printable"),
        ("a\ud800", r"room name 'a\ud800' has a character that is not printable"),
        ("x" * 201, "room name is 201 bytes; the limit is 200 (Limits.max_room_name_bytes)"),
        ("é" * 101, "room name is 202 bytes; the limit is 200 (Limits.max_room_name_bytes)"),
    ],
)
def test_room_name_says_what_is_wrong(value: object, text: str) -> None:
    """A name that is refused is refused with what was got and what was expected."""
    with pytest.raises(RoomNameError) as caught:
        room_name(value)  # type: ignore[arg-type] # bad input is the point

    assert str(caught.value) == text


def test_room_name_of_the_longest_length_fits() -> None:
    """The limit is inclusive, and counts bytes of UTF-8."""
    assert room_name("é" * (MAX_ROOM_NAME_BYTES // 2)) == "é" * 100


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5, "key is of type int; expected str"),
        ("", "key is empty; expected at least one character, or None for no key"),
        ("order\n7", "key has a character that is not printable, at 5"),
        ("\ud800", "key has a character that is not printable, at 0"),
        ("x" * 201, "key is 201 bytes; the limit is 200"),
        ("é" * 101, "key is 202 bytes; the limit is 200"),
    ],
)
def test_push_key_says_what_is_wrong(value: object, text: str) -> None:
    """A key that is refused is refused by its shape; the key itself, which may be private, is not shown."""
    with pytest.raises(PushKeyError) as caught:
        push_key(value)  # type: ignore[arg-type] # bad input is the point

    assert str(caught.value) == text


def test_push_key_of_the_longest_length_fits() -> None:
    """The limit is inclusive, and counts bytes of UTF-8."""
    assert push_key("é" * (MAX_PUSH_KEY_BYTES // 2)) == "é" * 100


def test_connection_ids_are_distinct_and_url_safe() -> None:
    """An id cannot be guessed, and travels through URLs and headers as it is."""
    ids = {new_connection_id() for _ in range(100)}

    assert len(ids) == 100
    assert {len(id_) for id_ in ids} == {16}
    assert all(id_.isascii() and id_.replace("-", "").replace("_", "").isalnum() for id_ in ids)


def test_connection_id_names_its_process() -> None:
    """Where there are several; what is made up names none."""
    assert node_of(new_connection_id("abcd_-12")) == "abcd_-12"
    for made_up in (
        "",
        "x",
        "x.",
        "x.short",
        "x.ninechars",
        "x.with:dot",
        "x.abc\x00defg",
        new_connection_id(),
    ):
        assert node_of(ConnectionId(made_up)) == ""
