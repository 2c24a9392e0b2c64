"""What goes over a socket: messages, the frames that carry them, and the codec that reads and writes their values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from .capabilities import Change, Occupants
from .envelope import Envelope, Form
from .events import Event
from .names import RoomName
from .positions import Gap, Position

__all__ = ("Codec", "Frame", "FrameKind", "Framing", "Inbound", "Message", "MessageId")

MessageId: TypeAlias = str | int
"""What a client calls one of its messages, so that the reply can name it."""


# ── What goes out ──


@dataclass(frozen=True, slots=True)
class Message:
    """One WebSocket message: `data` is UTF-8 when `is_text`; `tail` follows it, where a copy would put it behind."""

    is_text: bool
    data: bytes = field(repr=False)  # a payload, as below: never in a log line or a traceback
    tail: bytes | memoryview = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Frame:
    """What a wire writes: `data` in the wire's own form, `size` in bytes as it counts against an outbox."""

    data: object = field(repr=False)
    size: int


class Framing(Protocol):
    """How a wire writes WebSocket messages: as bytes of RFC 6455, or as ASGI messages. Hashable."""

    def frame(self, messages: Sequence[Message]) -> Frame:
        """Return one frame that holds these messages, in order."""

    def join(self, frames: Sequence[Frame]) -> object:
        """Return what `Wire.write` takes for these frames, in order, at once."""

    def text(self, data: bytes) -> object:
        """Return what `Wire.write` takes for one text message: what `frame` and `join` make of it, in fewer steps."""

    def concat(self, parts: Sequence[object]) -> object:
        """Return what `Wire.write` takes for what `text` and `join` returned, in order, at once."""

    def size(self, part: object) -> int:
        """Return the bytes of what `text` or `join` returned, as `Frame.size` counts them."""


class FrameKind(Protocol):
    """Codec × framing (× compression): members of one kind share every frame. Hashable and compared by value."""

    def encode(self, room: RoomName, at: Position, envelope: Envelope) -> Frame:
        """Return the frame of a push."""

    def position(self, room: RoomName, at: Position) -> Frame | None:
        """Return the frame of a push whose body this member does not get, or None where positions are not sent."""

    def joined(self, room: RoomName, at: Position, *, recovered: bool) -> Frame | None:
        """Return the frame that tells a member where it stands, or None where positions are not sent."""

    def gap(self, room: RoomName, gap: Gap) -> Frame | None:
        """Return the frame that tells a member what it will not get, or None where positions are not sent."""

    def presence(self, room: RoomName, at: Position, change: Change) -> Frame | None:
        """Return the frame that tells a member who has come or gone, or None where that is not sent."""

    def occupants(self, room: RoomName, occupants: Occupants) -> Frame | None:
        """Return the frame that tells a member who is present, or None where that is not sent."""

    def direct(self, message: Event | str | bytes) -> Frame:
        """Return the frame of a message to one connection.

        Raises:
            NotEncodable: The event's data cannot be written as JSON.
        """

    def packed(self, envelope: Envelope) -> Frame:
        """Return the frame of a message to one connection that was encoded already, in another process perhaps."""

    def reply(self, reply_to: MessageId, value: object) -> Frame:
        """Return the frame that answers the client's message `reply_to`.

        Raises:
            NotEncodable: The value cannot be written as JSON.
        """

    def error(self, code: str, message: str, *, reply_to: MessageId | None) -> Frame:
        """Return the frame that says what was wrong with a client's message."""

    def direct_alone(self, message: Event | str | bytes) -> object:
        """Return what `Wire.write` takes for a message to one connection; as `direct`, in fewer steps."""

    def reply_alone(self, reply_to: MessageId, value: object) -> object:
        """Return what `Wire.write` takes for an answer; as `reply`, in fewer steps."""

    def concat(self, parts: Sequence[object]) -> object:
        """Return what `Wire.write` takes for what `direct_alone` and `reply_alone` returned, in order, at once."""

    def size(self, part: object) -> int:
        """Return the bytes of what `direct_alone` or `reply_alone` returned."""

    def join(self, frames: Sequence[Frame]) -> object:
        """Return what `Wire.write` takes for these frames, in order, at once."""


# ── What comes in ──


@dataclass(slots=True)
class Inbound:
    """A client's message, read so far that its handler can be chosen.

    One is made for every message, and making it frozen would take three times as long; nobody changes it all the same.

    Attributes:
        type: The event type.
        data: The encoded data, for a decoder of the same codec: JSON, or the bytes of a binary event.
        id: What the client calls this message, if it wants a reply.
        is_binary: Whether it came as a binary event.
    """

    type: str
    data: bytes = field(repr=False)
    id: MessageId | None = None
    is_binary: bool = False


class Codec(Protocol):
    """What application values look like in messages. It knows no room, no position and no socket."""

    def pack(self, message: Event | str | bytes) -> tuple[Form, bytes]:
        """Encode what is pushed.

        Raises:
            NotEncodable: The event's data cannot be written as JSON.
            TypeError: It is neither an event, text nor bytes.
        """

    def unpack(self, form: Form, body: bytes | memoryview) -> Inbound:
        """Read an event that `pack` encoded, for a decoder of this codec.

        Raises:
            InvalidMessage: It is none.
        """

    def pack_value(self, value: object) -> bytes:
        """Encode a value as it stands inside a message.

        Raises:
            NotEncodable: It cannot be written as JSON.
        """

    def read(self, message: str | bytes) -> Inbound:
        """Read a client's message as an event.

        Raises:
            InvalidMessage: It is not one; `code` and text say why.
        """

    def decoder(self, annotation: object) -> Callable[[Inbound], object]:
        """Return what decodes an event's data to `annotation`; it raises `InvalidMessage`.

        Raises:
            ConsumerError: Nothing can be decoded to `annotation`.
        """

    def message_decoder(self, annotation: object) -> Callable[[str | bytes], object]:
        """Return what decodes a whole message to `annotation`; it raises `InvalidMessage`.

        Raises:
            ConsumerError: Nothing can be decoded to `annotation`.
        """
