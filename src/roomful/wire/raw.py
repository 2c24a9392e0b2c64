"""The raw codec: connections that own their wire. They get what the application writes, and no positions.

Only what is wrong with a client's message is told in Roomful's own words.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..core.capabilities import Change, Occupants
from ..core.envelope import Envelope, Form
from ..core.names import RoomName
from ..core.ports import Message
from ..core.positions import Gap, Position
from .bodies import split_binary
from .events import EventsCodec

__all__ = ("RawCodec",)


class RawCodec(EventsCodec):
    """As `EventsCodec`, without room and position. A binary event is its bytes alone."""

    def encode(self, room: RoomName, at: Position, envelope: Envelope) -> Sequence[Message]:
        """Return the message of a push."""
        del room, at
        match envelope.form:
            case Form.JSON:
                return (Message(True, b"".join((b"{", envelope.body, b"}"))),)
            case Form.BINARY:
                return (Message(False, b"", split_binary(envelope.body)[1]),)
            case Form.TEXT:
                return (Message(True, bytes(envelope.body)),)
            case Form.BYTES:
                return (Message(False, b"", envelope.body),)

    def packed(self, form: Form, body: bytes | memoryview) -> Sequence[Message]:
        """Return the message of a direct send."""
        if form is Form.BINARY:
            return (Message(False, b"", split_binary(body)[1]),)
        return super().packed(form, body)

    def position(self, room: RoomName, at: Position) -> Sequence[Message]:
        """Return no message."""
        del room, at
        return ()

    def joined(self, room: RoomName, at: Position, *, recovered: bool) -> Sequence[Message]:
        """Return no message."""
        del room, at, recovered
        return ()

    def presence(self, room: RoomName, at: Position, change: Change) -> Sequence[Message]:
        """Return no message."""
        del room, at, change
        return ()

    def occupants(self, room: RoomName, occupants: Occupants) -> Sequence[Message]:
        """Return no message."""
        del room, occupants
        return ()

    def gap(self, room: RoomName, gap: Gap) -> Sequence[Message]:
        """Return no message."""
        del room, gap
        return ()
