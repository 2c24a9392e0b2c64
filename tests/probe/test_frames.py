"""Frames: what a client writes and reads."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

from roomful.probe.frames import BINARY, CLOSE, PING, TEXT, FrameError, FrameReader, frame_head, mask_table


def wire(opcode: int, payload: bytes, *, fin: bool = True) -> bytes:
    """Return a frame as a server writes it."""
    return Frame(Opcode(opcode), payload, fin=fin).serialize(mask=False)


MESSAGES = st.lists(
    st.tuples(st.sampled_from([TEXT, BINARY, PING, CLOSE]), st.binary(max_size=120)), max_size=8
)
LARGE = st.binary(min_size=120, max_size=300).map(lambda part: part * 240)


@settings(max_examples=50)
@given(MESSAGES, st.one_of(st.binary(max_size=200), LARGE), st.data())
def test_reader_finds_the_same_messages_however_the_bytes_are_cut(
    messages: list[tuple[int, bytes]], large: bytes, data: st.DataObject
) -> None:
    """TCP cuts a stream anywhere."""
    messages = [*messages, (BINARY, large)]
    stream = b"".join(wire(opcode, payload) for opcode, payload in messages)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    reader = FrameReader(max_bytes=1 << 20)
    found = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += [(opcode, each[a:b]) for opcode, each, a, b in reader.feed(stream[start:end])]
    assert found == messages


def test_reader_joins_fragments_around_control_frames() -> None:
    """RFC 6455 §5.4: control frames may stand between fragments."""
    reader = FrameReader(max_bytes=100)
    stream = wire(TEXT, b"one ", fin=False) + wire(PING, b"p") + wire(0, b"two", fin=False) + wire(0, b"!")
    found = [(opcode, each[a:b]) for opcode, each, a, b in reader.feed(stream)]
    assert found == [(PING, b"p"), (TEXT, b"one two!")]


@pytest.mark.parametrize(
    ("stream", "code"),
    [
        (b"\x81\x81mask\x15", 1002),
        (b"\xc1\x01x", 1002),
        (b"\x83\x00", 1002),
        (wire(BINARY, bytes(200)), 1009),
    ],
)
def test_reader_refuses_what_is_no_frame_of_a_server(stream: bytes, code: int) -> None:
    """Masked, compressed without agreement, unknown, too large."""
    with pytest.raises(FrameError) as caught:
        FrameReader(max_bytes=150).feed(stream)
    assert caught.value.code == code


@settings(max_examples=40)
@given(st.one_of(st.binary(max_size=300), LARGE), st.integers(1, 255))
def test_what_is_written_is_what_a_server_reads(payload: bytes, key: int) -> None:
    """A key of four equal bytes is a key (RFC 6455 §5.3)."""
    server = ServerProtocol(state=State.OPEN, max_size=None)
    server.receive_data(frame_head(BINARY, len(payload), key) + payload.translate(mask_table(key)))
    (frame,) = server.events_received()
    assert isinstance(frame, Frame)
    assert bytes(frame.data) == payload
