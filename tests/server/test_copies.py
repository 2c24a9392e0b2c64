"""How often the bytes of a large push are copied on their way from `push` to the transport."""

from __future__ import annotations

import tracemalloc

import pytest

from roomful.core.envelope import Envelope
from roomful.core.events import Event
from roomful.core.names import RoomName
from roomful.core.positions import Position
from roomful.server import FRAMING
from roomful.wire import EventsCodec, Kind, RawCodec

SIZE = 4 * 2**20
ROOM, AT = RoomName("lobby"), Position("e", 1)


@pytest.mark.parametrize("codec", [EventsCodec(), RawCodec()])
@pytest.mark.parametrize("message", [Event("image", bytes(SIZE)), bytes(SIZE)])
def test_large_push_is_copied_into_its_payload_and_into_its_frame(
    codec: EventsCodec, message: Event | bytes
) -> None:
    """Once for all members of a kind; in between it is only looked at."""
    kind = Kind(codec, FRAMING)
    form, body = codec.pack(message)
    payload = Envelope(form, body).pack()
    tracemalloc.start()
    try:
        frame = kind.encode(ROOM, AT, Envelope.unpack(payload))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert frame.size > SIZE
    assert peak < 1.1 * SIZE


def test_large_answer_is_copied_into_its_frame() -> None:
    message = bytes(SIZE)
    tracemalloc.start()
    try:
        Kind(RawCodec(), FRAMING).direct_alone(message)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1.1 * SIZE
