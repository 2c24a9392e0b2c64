"""The events codec: JSON text with `type` and `data`, and binary events for data that is bytes.

    client → server   {"type", "data", "id"?}
    server → client   {"type", "data", "room", "pos"}, replies {"reply", "data" | "error"}, and the `roomful.` types

A binary event, in both directions, is two bytes with the length of its JSON header (big-endian), the header, the bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Final, TypeAlias

import msgspec

from ..core.capabilities import Change, Occupants
from ..core.envelope import Envelope, Form
from ..core.errors import InvalidMessage, NotEncodable
from ..core.events import RESERVED_PREFIX, Event
from ..core.names import RoomName
from ..core.ports import Inbound, Message, MessageId
from ..core.positions import Gap, Position
from . import json
from .bodies import join_binary, pack, split_binary

__all__ = ("EventsCodec",)

MAX_ID_CHARACTERS: Final = 200
"""An id is remembered and repeated in the reply; a UUID takes 36."""


_Text: TypeAlias = Annotated[str, msgspec.Meta(max_length=MAX_ID_CHARACTERS)]
_Number: TypeAlias = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class _Incoming(msgspec.Struct):
    """A client's message, its data not yet decoded."""

    type: str
    data: msgspec.Raw = msgspec.Raw(b"null")
    id: _Text | _Number | None = None


class _Reply(msgspec.Struct):
    """The answer to a client's message."""

    reply: MessageId
    data: object


class _Header(msgspec.Struct):
    """The header of a client's binary event."""

    type: str
    id: _Text | _Number | None = None


class _Id(msgspec.Struct):
    """The id of a message whose other fields are wrong."""

    id: _Text | _Number | None = None


_read_text = json.decoder(_Incoming)
_read_header = json.decoder(_Header)
_read_id = json.decoder(_Id)


def _where(room: RoomName, at: Position) -> bytes:
    return b'"room":' + json.encode(room) + b',"pos":"' + str(at).encode() + b'"'


# Not `pos`: a client that remembers the `pos` of each room takes no notice of presence, whose sequence is another.
def _presence(room: RoomName, at: Position) -> bytes:
    return b'"room":' + json.encode(room) + b',"at":"' + str(at).encode() + b'"'


class EventsCodec:
    """Implements the port `Codec`, and the messages of a connection that speaks events."""

    def pack(self, message: Event | str | bytes) -> tuple[Form, bytes]:
        """Encode what is pushed; see `bodies.pack`."""
        return pack(message)

    def unpack(self, form: Form, body: bytes | memoryview) -> Inbound:
        """Read an event that `pack` encoded.

        Raises:
            InvalidMessage: It is none.
        """
        match form:
            case Form.JSON:
                return self.read(b"".join((b"{", body, b"}")).decode())
            case Form.BINARY:
                header, data = split_binary(body)
                return self.read(join_binary(b"{" + header + b"}", data))
            case Form.TEXT | Form.BYTES:
                raise InvalidMessage("invalid_message", "it is no event")

    def pack_value(self, value: object) -> bytes:
        """Encode a value as JSON."""
        return json.encode(value)

    # ── Server → client ──

    def encode(self, room: RoomName, at: Position, envelope: Envelope) -> Sequence[Message]:
        """Return the messages of a push: one, or two where the application's own message cannot carry the position."""
        body = envelope.body
        match envelope.form:
            case Form.JSON:
                return (Message(True, b"".join((b"{", body, b",", _where(room, at), b"}"))),)
            case Form.BINARY:
                header, data = split_binary(body)
                return (
                    Message(False, join_binary(b"{" + header + b"," + _where(room, at) + b"}", b""), data),
                )
            case Form.TEXT:
                return (Message(True, bytes(body)), *self.position(room, at))
            case Form.BYTES:
                return (Message(False, b"", body), *self.position(room, at))

    def position(self, room: RoomName, at: Position) -> Sequence[Message]:
        """Return the message that carries a position alone."""
        return (Message(True, b'{"type":"roomful.position",' + _where(room, at) + b"}"),)

    def joined(self, room: RoomName, at: Position, *, recovered: bool) -> Sequence[Message]:
        """Return the message that tells a member where it stands."""
        flag = b"true" if recovered else b"false"
        return (
            Message(True, b'{"type":"roomful.joined",' + _where(room, at) + b',"recovered":' + flag + b"}"),
        )

    def gap(self, room: RoomName, gap: Gap) -> Sequence[Message]:
        """Return the message that tells a member what it will not get."""
        told = {
            "type": "roomful.gap",
            "room": room,
            "epoch": gap.epoch,
            "ranges": gap.ranges,
            "reason": gap.reason,
        }
        return (Message(True, json.encode(told)),)

    def presence(self, room: RoomName, at: Position, change: Change) -> Sequence[Message]:
        """Return the message that tells who has come or gone."""
        here = b"false" if change.info is None else b'true,"info":' + change.info
        who = b',"who":' + json.encode(change.who) + b',"present":' + here
        return (Message(True, b'{"type":"roomful.presence",' + _presence(room, at) + who + b"}"),)

    def occupants(self, room: RoomName, occupants: Occupants) -> Sequence[Message]:
        """Return the message that tells who is present."""
        who = b",".join(json.encode(name) + b":" + info for name, info in occupants.who.items())
        where = _presence(room, occupants.at)
        return (Message(True, b'{"type":"roomful.occupants",' + where + b',"who":{' + who + b"}}"),)

    def direct(self, message: Event | str | bytes) -> Sequence[Message]:
        """Return the message of a direct send."""
        return self.packed(*pack(message))

    def packed(self, form: Form, body: bytes | memoryview) -> Sequence[Message]:
        """Return the message of a direct send that was encoded already."""
        match form:
            case Form.JSON:
                return (Message(True, b"{" + body + b"}"),)
            case Form.BINARY:
                header, data = split_binary(body)
                return (Message(False, join_binary(b"{" + header + b"}", b""), data),)
            case Form.TEXT | Form.BYTES:
                return (Message(form is Form.TEXT, bytes(body)),)

    def reply(self, reply_to: MessageId, value: object) -> Sequence[Message]:
        """Return the answer to a client's message."""
        return (Message(True, self.reply_text(reply_to, value)),)

    def reply_text(self, reply_to: MessageId, value: object) -> bytes:
        """Return the text of the answer to a client's message."""
        try:
            return json.encode(_Reply(reply_to, value))
        except NotEncodable:
            json.encode(value)  # raises the same, and names the type of the value and not of the reply
            raise

    def error(self, code: str, message: str, *, reply_to: MessageId | None) -> Sequence[Message]:
        """Return the error that answers a client's message."""
        error = json.encode({"code": code, "message": message})
        if reply_to is None:
            return (Message(True, b'{"type":"roomful.error","error":' + error + b"}"),)
        return (Message(True, b'{"reply":' + json.encode(reply_to) + b',"error":' + error + b"}"),)

    # ── Client → server ──

    def read(self, message: str | bytes) -> Inbound:
        """Read a client's message as an event.

        Raises:
            InvalidMessage: It is not one; `code` and text say why.
        """
        if isinstance(message, str):
            try:
                incoming = _read_text(message, "message")
            except InvalidMessage as error:
                raise InvalidMessage(error.code, error.message, id=_id_of(message)) from None
            assert isinstance(incoming, _Incoming)
            inbound = Inbound(incoming.type, bytes(incoming.data), incoming.id)
        else:
            try:
                raw_header, data = split_binary(message)
            except ValueError as error:
                raise InvalidMessage("invalid_message", str(error)) from None
            header = _read_header(raw_header, "header")
            assert isinstance(header, _Header)
            inbound = Inbound(header.type, bytes(data), header.id, is_binary=True)
        if inbound.type.startswith(RESERVED_PREFIX):
            raise InvalidMessage(
                "reserved_type", f"type begins with {RESERVED_PREFIX!r}, which is reserved", id=inbound.id
            )
        return inbound

    def decoder(self, annotation: object) -> Callable[[Inbound], object]:
        """Return what decodes an event's data; `bytes` asks for a binary event, anything else for JSON.

        Raises:
            ConsumerError: Nothing can be decoded to `annotation`.
        """
        if annotation is bytes:
            return _binary_data
        decode = json.decoder(annotation)

        def decoded(inbound: Inbound) -> object:
            if inbound.is_binary:
                raise InvalidMessage(
                    "invalid_message", "data is binary; this event takes JSON", id=inbound.id
                )
            try:
                return decode(inbound.data, "data")
            except InvalidMessage as error:
                raise InvalidMessage(error.code, error.message, id=inbound.id) from None

        return decoded

    def message_decoder(self, annotation: object) -> Callable[[str | bytes], object]:
        """Return what decodes a whole message: `str`, `bytes` or both as they came, anything else from JSON text.

        Raises:
            ConsumerError: Nothing can be decoded to `annotation`.
        """
        return message_decoder(annotation)


def _id_of(message: str) -> MessageId | None:
    try:
        found = _read_id(message, "message")
    except InvalidMessage:
        return None
    assert isinstance(found, _Id)
    return found.id


def _binary_data(inbound: Inbound) -> object:
    if not inbound.is_binary:
        raise InvalidMessage("invalid_message", "data is JSON; this event takes binary data", id=inbound.id)
    return inbound.data


def message_decoder(annotation: object) -> Callable[[str | bytes], object]:
    """Return what decodes a whole message to `annotation`; see `EventsCodec.message_decoder`."""
    if annotation in (object, str | bytes):
        return lambda message: message
    if annotation is str or annotation is bytes:
        expected, name = annotation, "text" if annotation is str else "binary"

        def checked(message: str | bytes) -> object:
            if not isinstance(message, expected):
                raise InvalidMessage("invalid_message", f"message is of the wrong kind; expected {name}")
            return message

        return checked
    decode = json.decoder(annotation)

    def decoded(message: str | bytes) -> object:
        if isinstance(message, bytes):
            raise InvalidMessage("invalid_message", "message is binary; expected JSON text")
        return decode(message, "message")

    return decoded
