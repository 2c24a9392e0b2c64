"""Kinds: a codec and a framing make frames that members share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from roomful.core.envelope import Envelope, Form
from roomful.core.events import Event
from roomful.core.names import RoomName
from roomful.core.ports import Frame, FrameKind, Message
from roomful.core.positions import Position
from roomful.wire import EventsCodec, Kind, RawCodec

ROOM, AT = RoomName("chat"), Position("e", 7)


@dataclass(frozen=True)
class FakeFraming:
    """Frames are lists of what they hold."""

    def frame(self, messages: Sequence[Message]) -> Frame:
        return Frame(list(messages), sum(len(m.data) for m in messages))

    def join(self, frames: Sequence[Frame]) -> object:
        return [frame.data for frame in frames]


EVENTS, RAW = EventsCodec(), RawCodec()
KIND = Kind(EVENTS, FakeFraming())


def test_each_frame_is_the_codecs_messages_framed() -> None:
    """A kind adds nothing of its own."""
    kind: FrameKind = KIND
    envelope = Envelope(Form.TEXT, b"hi")
    frames = [
        kind.encode(ROOM, AT, envelope),
        kind.position(ROOM, AT),
        kind.joined(ROOM, AT, recovered=True),
        kind.direct(Event("a", 1)),
        kind.reply(1, 2),
        kind.error("a", "b", reply_to=None),
    ]
    messages = [
        EVENTS.encode(ROOM, AT, envelope),
        EVENTS.position(ROOM, AT),
        EVENTS.joined(ROOM, AT, recovered=True),
        EVENTS.direct(Event("a", 1)),
        EVENTS.reply(1, 2),
        EVENTS.error("a", "b", reply_to=None),
    ]

    assert frames == [Frame(list(m), sum(len(one.data) for one in m)) for m in messages]


def test_frames_are_joined_by_the_framing() -> None:
    """What a wire writes at once is the framing's own."""
    frames = [KIND.direct("a"), KIND.direct("b")]

    assert KIND.join(frames) == [[Message(True, b"a")], [Message(True, b"b")]]


def test_codec_without_positions_makes_no_frame_of_them() -> None:
    """No frame at all, and not an empty one, so that nothing is written."""
    kind = Kind(RAW, FakeFraming())

    assert kind.position(ROOM, AT) is None
    assert kind.joined(ROOM, AT, recovered=False) is None


def test_members_of_equal_kinds_share_a_branch() -> None:
    """Kinds are compared by codec and framing, so that all connections of a hub fall into few of them."""
    assert Kind(EVENTS, FakeFraming()) == KIND
    assert len({Kind(EVENTS, FakeFraming()), KIND, Kind(RAW, FakeFraming())}) == 2
