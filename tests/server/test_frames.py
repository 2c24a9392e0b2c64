"""`frames` alone: what a server writes."""

import pytest

from roomful.core.ports import Message
from roomful.server.frames import (
    FRAMING,
    PING,
    BytesFraming,
    binary_frame,
    close_frame,
    pong_frame,
    text_frame,
)


@pytest.mark.parametrize(
    ("size", "head"),
    [
        (0, b"\x00"),
        (125, b"\x7d"),
        (126, b"\x7e\x00\x7e"),
        (65535, b"\x7e\xff\xff"),
        (65536, b"\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
    ],
)
def test_length_stands_in_the_shortest_form(size: int, head: bytes) -> None:
    """RFC 6455 §5.2: the minimal number of bytes must be used."""
    assert text_frame(b"a" * size) == b"\x81" + head + b"a" * size
    assert binary_frame(b"a" * size) == b"\x82" + head + b"a" * size


def test_control_frames() -> None:
    assert close_frame(None) == b"\x88\x00"
    assert close_frame(1000) == b"\x88\x02\x03\xe8"
    assert close_frame(4000, "süß") == b"\x88\x07\x0f\xa0" + "süß".encode()
    assert pong_frame(b"x") == b"\x8a\x01x"
    assert PING == b"\x89\x00"


def test_framing_frames_messages_in_order() -> None:
    frame = FRAMING.frame([Message(is_text=True, data=b"a"), Message(is_text=False, data=b"b")])
    assert frame.data == b"\x81\x01a\x82\x01b"
    assert frame.size == 6


def test_framing_joins_frames_without_copying_a_single_one() -> None:
    """A flush of one frame hands every member the same bytes."""
    one, two = (
        FRAMING.frame([Message(is_text=True, data=b"1")]),
        FRAMING.frame([Message(is_text=True, data=b"2")]),
    )
    assert FRAMING.join([one]) is one.data
    assert FRAMING.join([one, two]) == b"\x81\x011\x81\x012"


def test_framing_is_one_hashable_object() -> None:
    """Kinds of frames are compared by their framing."""
    assert {FRAMING: 1}[FRAMING] == 1
    assert isinstance(FRAMING, BytesFraming)
    assert repr(FRAMING) == "FRAMING"
