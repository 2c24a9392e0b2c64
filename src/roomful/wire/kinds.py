"""Kinds of frames: a codec and a framing; members of one kind share every frame.

It makes frames and keeps none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ..core.capabilities import Change, Occupants
from ..core.envelope import Envelope, Form
from ..core.events import Event
from ..core.names import RoomName
from ..core.ports import Frame, Framing, Message, MessageId
from ..core.positions import Gap, Position
from .bodies import no_utf8

__all__ = ("Kind",)


class Outgoing(Protocol):
    """The half of a codec that makes messages."""

    def encode(self, room: RoomName, at: Position, envelope: Envelope) -> Sequence[Message]: ...
    def position(self, room: RoomName, at: Position) -> Sequence[Message]: ...
    def joined(self, room: RoomName, at: Position, *, recovered: bool) -> Sequence[Message]: ...
    def gap(self, room: RoomName, gap: Gap) -> Sequence[Message]: ...
    def presence(self, room: RoomName, at: Position, change: Change) -> Sequence[Message]: ...
    def occupants(self, room: RoomName, occupants: Occupants) -> Sequence[Message]: ...
    def direct(self, message: Event | str | bytes) -> Sequence[Message]: ...
    def packed(self, form: Form, body: bytes | memoryview) -> Sequence[Message]: ...
    def reply(self, reply_to: MessageId, value: object) -> Sequence[Message]: ...
    def reply_text(self, reply_to: MessageId, value: object) -> bytes: ...
    def error(self, code: str, message: str, *, reply_to: MessageId | None) -> Sequence[Message]: ...


@dataclass(frozen=True, slots=True)
class Kind:
    """Implements the port `FrameKind`."""

    codec: Outgoing
    framing: Framing

    def encode(self, room: RoomName, at: Position, envelope: Envelope) -> Frame:
        """Return the frame of a push."""
        return self.framing.frame(self.codec.encode(room, at, envelope))

    def position(self, room: RoomName, at: Position) -> Frame | None:
        """Return the frame of a position alone, or None where positions are not sent."""
        messages = self.codec.position(room, at)
        return self.framing.frame(messages) if messages else None

    def joined(self, room: RoomName, at: Position, *, recovered: bool) -> Frame | None:
        """Return the frame that tells a member where it stands, or None where positions are not sent."""
        messages = self.codec.joined(room, at, recovered=recovered)
        return self.framing.frame(messages) if messages else None

    def gap(self, room: RoomName, gap: Gap) -> Frame | None:
        """Return the frame of a gap notice, or None where positions are not sent."""
        messages = self.codec.gap(room, gap)
        return self.framing.frame(messages) if messages else None

    def presence(self, room: RoomName, at: Position, change: Change) -> Frame | None:
        """Return the frame of a change of presence, or None where that is not sent."""
        messages = self.codec.presence(room, at, change)
        return self.framing.frame(messages) if messages else None

    def occupants(self, room: RoomName, occupants: Occupants) -> Frame | None:
        """Return the frame that tells who is present, or None where that is not sent."""
        messages = self.codec.occupants(room, occupants)
        return self.framing.frame(messages) if messages else None

    def direct(self, message: Event | str | bytes) -> Frame:
        """Return the frame of a direct send."""
        return self.framing.frame(self.codec.direct(message))

    def packed(self, envelope: Envelope) -> Frame:
        """Return the frame of a direct send that was encoded already."""
        return self.framing.frame(self.codec.packed(envelope.form, envelope.body))

    def reply(self, reply_to: MessageId, value: object) -> Frame:
        """Return the frame of a reply."""
        return self.framing.frame(self.codec.reply(reply_to, value))

    def error(self, code: str, message: str, *, reply_to: MessageId | None) -> Frame:
        """Return the frame of an error."""
        return self.framing.frame(self.codec.error(code, message, reply_to=reply_to))

    def direct_alone(self, message: Event | str | bytes) -> object:
        """Return what a wire writes for a direct send."""
        if isinstance(message, str):
            # A text is the application's own, whatever the codec, and the commonest answer.
            try:
                return self.framing.text(message.encode())
            except UnicodeEncodeError:
                raise no_utf8() from None
        return self.framing.join((self.direct(message),))

    def reply_alone(self, reply_to: MessageId, value: object) -> object:
        """Return what a wire writes for a reply."""
        return self.framing.text(self.codec.reply_text(reply_to, value))

    def concat(self, parts: Sequence[object]) -> object:
        """Return what a wire writes for these at once."""
        return self.framing.concat(parts)

    def size(self, part: object) -> int:
        """Return the bytes of one of these."""
        return self.framing.size(part)

    def join(self, frames: Sequence[Frame]) -> object:
        """Return what a wire writes for these frames at once."""
        return self.framing.join(frames)
