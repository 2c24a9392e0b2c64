"""What a test client received, decoded.

It guesses nothing: a message that is no event of DESIGN's wire format is the text or the bytes that it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..core.errors import InvalidMessage, PositionError
from ..core.events import Event
from ..core.ports import MessageId
from ..core.positions import Position
from ..wire import json
from ..wire.bodies import join_binary, split_binary

__all__ = ("ErrorReply", "Received", "decode", "encode")

_read = json.decoder(dict[str, object])


@dataclass(frozen=True, slots=True)
class ErrorReply:
    """What was wrong with a message of the client's."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Received:
    """One message as a client got it.

    Attributes:
        raw: The message itself.
        type: The event's type; None for replies and for messages of the application's own.
        data: The event's data, or the value that a reply carries; bytes for a binary event.
        room: The room that the event was pushed to; None for a direct send.
        pos: Where the event stands in its room.
        reply: The `id` of the message that this one answers.
        error: What was wrong with that message, or with one that had no `id`.
        fields: The whole JSON object of an event or a reply.
    """

    raw: str | bytes
    type: str | None = None
    data: object = None
    room: str | None = None
    pos: Position | None = None
    reply: MessageId | None = None
    error: ErrorReply | None = None
    fields: Mapping[str, object] = field(default_factory=dict, repr=False)

    @property
    def text(self) -> str | None:
        """The text of a message that is neither an event nor a reply."""
        return self.raw if isinstance(self.raw, str) and not self.fields else None

    @property
    def bytes(self) -> bytes | None:
        """The bytes of a message that is no event."""
        return self.raw if not isinstance(self.raw, str) and not self.fields else None

    def __str__(self) -> str:
        # For the texts of assertions, where a payload of megabytes would hide what matters.
        if self.error is not None:
            return f"error {self.error.code!r} ({self.error.message})"
        if self.reply is not None:
            return f"reply to {self.reply!r}"
        if self.type is not None:
            return f"event {self.type!r}" + ("" if self.room is None else f" in {self.room!r} at {self.pos}")
        kind = "text" if isinstance(self.raw, str) else "bytes"
        start = self.raw[:60]
        return f"{kind} {start!r}" + ("…" if len(self.raw) > len(start) else "")


def decode(raw: str | bytes) -> Received:
    """Return a message with what can be read of it."""
    data: object = None
    header: str | bytes = raw
    if not isinstance(raw, str):
        try:
            header, view = split_binary(raw)
            data = bytes(view)
        except ValueError:
            return Received(raw)
    try:
        fields = _read(header, "message")
    except InvalidMessage:
        return Received(raw)
    assert isinstance(fields, dict)  # or it had not been read
    type_, reply = fields.get("type"), fields.get("reply")
    if not isinstance(type_, str) and not isinstance(reply, str | int):
        return Received(raw)
    room = fields.get("room")
    return Received(
        raw,
        type=type_ if isinstance(type_, str) else None,
        data=fields.get("data") if isinstance(raw, str) else data,
        room=room if isinstance(room, str) else None,
        pos=_position(fields.get("pos")),
        reply=reply if isinstance(reply, str | int) else None,
        error=_error(fields.get("error")),
        fields=fields,
    )


def encode(message: Event | str | bytes, id: MessageId | None) -> str | bytes:
    """Return a message as a client writes it.

    Raises:
        ValueError: An `id` is given for a message that is no event.
        NotEncodable: The event's data cannot be written as JSON.
    """
    if not isinstance(message, Event):
        if id is not None:
            raise ValueError("only an event has an id; put it into your own message")
        return message
    header: dict[str, object] = {"type": message.type} if id is None else {"type": message.type, "id": id}
    if isinstance(message.data, bytes):
        return join_binary(json.encode(header), message.data)
    return json.encode({**header, "data": message.data}).decode()


def _position(value: object) -> Position | None:
    try:
        return Position.parse(value) if isinstance(value, str) else None
    except PositionError:
        return None


def _error(value: object) -> ErrorReply | None:
    if not isinstance(value, dict):
        return None
    return ErrorReply(str(value.get("code")), str(value.get("message")))
