"""The raw codec: connections that own their wire get what the application writes and nothing else."""

from __future__ import annotations

import json

import pytest

from roomful.core.envelope import Envelope
from roomful.core.events import Event
from roomful.core.names import RoomName
from roomful.core.ports import Message
from roomful.core.positions import Position
from roomful.wire import EventsCodec, RawCodec
from tests.wire.wholes import whole

RAW = RawCodec()
ROOM, AT = RoomName("chat"), Position("e", 7)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("täxt", Message(True, "täxt".encode())),
        (b"\xff", Message(False, b"\xff")),
        (Event("post", {"a": 1}), Message(True, b'{"type":"post","data":{"a":1}}')),
        (Event("image", b"\x89PNG"), Message(False, b"\x89PNG")),
    ],
)
def test_push_and_send_are_the_message_alone(message: Event | str | bytes, expected: Message) -> None:
    """One message each, without room and position; a binary event is its bytes."""
    assert whole(RAW.encode(ROOM, AT, Envelope(*RAW.pack(message)))) == [expected]
    assert whole(RAW.direct(message)) == [expected]


def test_nothing_of_ours_is_sent() -> None:
    """Neither a join nor a position is told."""
    assert RAW.position(ROOM, AT) == ()
    assert RAW.joined(ROOM, AT, recovered=False) == ()


def test_body_is_the_same_for_both_codecs() -> None:
    """A room's members may speak either; what is pushed is encoded once."""
    for message in ("a", b"a", Event("post", 1), Event("image", b"x")):
        assert RAW.pack(message) == EventsCodec().pack(message)


def test_errors_are_in_our_words() -> None:
    """What was wrong with a client's message is told also to who owns the wire."""
    (error,) = RAW.error("too_fast", "slow down", reply_to=None)

    assert json.loads(error.data) == {
        "type": "roomful.error",
        "error": {"code": "too_fast", "message": "slow down"},
    }
