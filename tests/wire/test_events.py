"""The events codec: the bytes of DESIGN §7, in both directions."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomful.core.envelope import Envelope, Form
from roomful.core.errors import ConsumerError, InvalidMessage, NotEncodable
from roomful.core.events import Event
from roomful.core.names import RoomName
from roomful.core.ports import Codec, Inbound, Message
from roomful.core.positions import Position
from roomful.wire import EventsCodec
from roomful.wire.bodies import join_binary, split_binary
from tests.wire.wholes import whole

CODEC = EventsCodec()
ROOM, AT = RoomName('chät "1"'), Position("e", 7)
WHERE = {"room": ROOM, "pos": "e:7"}


def read(message: Message) -> Any:
    """Read a message as a client does: JSON text, or header and bytes."""
    if message.is_text:
        return json.loads(message.data)
    header, data = split_binary(message.data)
    return json.loads(header), data


def pushed(message: Event | str | bytes) -> list[Any]:
    form, body = CODEC.pack(message)
    return [read(m) if form in (Form.JSON, Form.BINARY) or m.is_text else m for m in encoded(form, body)]


def encoded(form: Form, body: bytes) -> list[Message]:
    return whole(CODEC.encode(ROOM, AT, Envelope(form, body)))


def test_codec_implements_the_port() -> None:
    """What the hub and consumers ask of a codec is there."""
    codec: Codec = CODEC
    assert codec.pack("a") == (Form.TEXT, b"a")


# ── Server → client ──


@given(st.dictionaries(st.text(max_size=3), st.integers(-5, 5) | st.text(max_size=3) | st.none(), max_size=3))
def test_pushed_event_carries_room_and_position(data: dict[str, object]) -> None:
    """An event is one JSON text with type, data, room and position."""
    assert pushed(Event("post", data)) == [{"type": "post", "data": data, **WHERE}]


@given(st.binary(max_size=50))
def test_pushed_binary_event_is_header_and_bytes(data: bytes) -> None:
    """An event with bytes is one binary message whose header says type, room and position."""
    assert pushed(Event("image", data)) == [({"type": "image", **WHERE}, data)]


def test_pushed_text_and_bytes_are_followed_by_their_position() -> None:
    """An application's own message cannot carry a position, so it comes behind, in the same frame."""
    position = Message(True, b'{"type":"roomful.position",' + b'"room":"ch\xc3\xa4t \\"1\\"","pos":"e:7"}')

    assert encoded(Form.TEXT, "täxt".encode()) == [Message(True, "täxt".encode()), position]
    assert encoded(Form.BYTES, b"\x00\xff") == [Message(False, b"\x00\xff"), position]


@pytest.mark.parametrize("recovered", [True, False])
def test_joined_says_where_the_member_stands(recovered: bool) -> None:
    """A client of a quiet room knows its position too."""
    (message,) = CODEC.joined(ROOM, AT, recovered=recovered)

    assert read(message) == {"type": "roomful.joined", **WHERE, "recovered": recovered}


def test_position_alone() -> None:
    """What an excluded member gets."""
    (message,) = CODEC.position(ROOM, AT)

    assert read(message) == {"type": "roomful.position", **WHERE}


def test_direct_send_has_neither_room_nor_position() -> None:
    """A message to one connection belongs to no room."""
    assert [read(m) for m in CODEC.direct(Event("hi", [1]))] == [{"type": "hi", "data": [1]}]
    assert [read(m) for m in whole(CODEC.direct(Event("image", b"x")))] == [({"type": "image"}, b"x")]
    assert CODEC.direct("täxt") == (Message(True, "täxt".encode()),)
    assert CODEC.direct(b"\xff") == (Message(False, b"\xff"),)


@pytest.mark.parametrize("id_", ['quo"te', 7, -(2**63), 2**63 - 1])
def test_reply_and_error_name_the_message(id_: str | int) -> None:
    """A reply is the data or an error, by the id that the client chose."""
    (reply,) = CODEC.reply(id_, {"ok": True})
    (error,) = CODEC.error("taken", 'the name "x" is taken', reply_to=id_)

    assert read(reply) == {"reply": id_, "data": {"ok": True}}
    assert read(error) == {"reply": id_, "error": {"code": "taken", "message": 'the name "x" is taken'}}


def test_error_without_an_id_is_an_event_of_its_own() -> None:
    """A client that gave no id still learns what was wrong."""
    (error,) = CODEC.error("invalid_json", "no", reply_to=None)

    assert read(error) == {"type": "roomful.error", "error": {"code": "invalid_json", "message": "no"}}


def test_reply_that_cannot_be_written() -> None:
    """A handler that returns what JSON does not know is told so."""
    with pytest.raises(NotEncodable):
        CODEC.reply(1, object())


# ── Client → server ──


@pytest.mark.parametrize(
    ("text", "inbound"),
    [
        ('{"type":"post","data":{"a": 1}}', Inbound("post", b'{"a": 1}')),
        ('{"type":"post"}', Inbound("post", b"null")),
        ('{"type":"post","data":"é","id":"k"}', Inbound("post", '"é"'.encode(), "k")),
        ('{"id":-3,"data":[],"type":"post","more":true}', Inbound("post", b"[]", -3)),
        ('{"type":"post","id":null}', Inbound("post", b"null")),
        ('{"type":"roomful","id":"' + "x" * 200 + '"}', Inbound("roomful", b"null", "x" * 200)),
        ('{"type":""}', Inbound("", b"null")),
    ],
)
def test_text_is_read_as_far_as_its_handler_needs(text: str, inbound: Inbound) -> None:
    """Type and id are known, the data stays encoded; fields that are not known are passed over."""
    assert CODEC.read(text) == inbound


def test_binary_event_is_read_as_header_and_bytes() -> None:
    """An image comes as it is."""
    message = join_binary(b'{"type":"image","id":7}', b"\x89PNG")

    assert CODEC.read(message) == Inbound("image", b"\x89PNG", 7, is_binary=True)


@pytest.mark.parametrize(
    ("message", "code", "text", "id_"),
    [
        ("hello", "invalid_json", "message is not valid JSON", None),
        ("", "invalid_json", "message is not valid JSON", None),
        ('{"type":"a"', "invalid_json", "message is not valid JSON", None),
        ('{"type":"\\ud800"}', "invalid_json", "message is not valid JSON", None),
        ("[1]", "invalid_message", "message: Expected `object`, got `array`", None),
        ("5", "invalid_message", "message: Expected `object`, got `int`", None),
        ('{"id":3}', "invalid_message", "message: Object missing required field `type`", 3),
        ('{"type":5,"id":"k"}', "invalid_message", "at `message.type`", "k"),
        ('{"type":"a","id":1.5}', "invalid_message", "at `message.id`", None),
        ('{"type":"a","id":true}', "invalid_message", "at `message.id`", None),
        ('{"type":"a","id":"' + "x" * 201 + '"}', "invalid_message", "`str` of length <= 200", None),
        ('{"type":"a","id":9223372036854775808}', "invalid_message", "at `message.id`", None),
        ('{"type":"a","id":' + "9" * 5000 + "}", "invalid_message", "at `message.id`", None),
        ('{"type":"roomful.gap","id":4}', "reserved_type", "type begins with 'roomful.'", 4),
        (b"", "invalid_message", "binary event has no header", None),
        (b"\x00\x05ab", "invalid_message", "its header ends at 7", None),
        (b"\x00\x02{}", "invalid_message", "header: Object missing required field `type`", None),
        (b"\x00\x02\xff\xff", "invalid_json", "header is not valid JSON", None),
        (join_binary(b'{"type":"roomful.x","id":4}', b""), "reserved_type", "type begins with 'roomful.'", 4),
    ],
)
def test_message_that_is_no_event_says_why(message: str | bytes, code: str, text: str, id_: object) -> None:
    """The error names the field and the rule, and the message's id where it could be read."""
    with pytest.raises(InvalidMessage) as caught:
        CODEC.read(message)

    assert (caught.value.code, caught.value.id) == (code, id_)
    assert text in caught.value.message


@given(st.text() | st.binary() | st.binary().map(lambda b: join_binary(b, b"")))
def test_any_message_is_read_or_refused(message: str | bytes) -> None:
    """Whatever a client sends, it becomes an `Inbound` or an `InvalidMessage`, and the answer can be written."""
    try:
        inbound = CODEC.read(message)
    except InvalidMessage as error:
        CODEC.error(error.code, error.message, reply_to=error.id)
    else:
        assert not inbound.type.startswith("roomful.")


# ── Decoding for handlers ──


class Post(msgspec.Struct):
    text: str


def test_event_data_is_decoded_by_annotation() -> None:
    """A handler's annotation decides what it gets; `bytes` asks for a binary event."""
    assert CODEC.decoder(Post)(Inbound("post", b'{"text":"hi"}')) == Post("hi")
    assert CODEC.decoder(object)(Inbound("post", b"null")) is None
    assert CODEC.decoder(bytes)(Inbound("image", b"\x89", is_binary=True)) == b"\x89"


@pytest.mark.parametrize(
    ("annotation", "inbound", "code", "text"),
    [
        (Post, Inbound("post", b'{"text":5}', "k"), "invalid_message", "got `int` - at `data.text`"),
        (Post, Inbound("post", b"null", "k"), "invalid_message", "data: Expected `object`, got `null`"),
        (
            Post,
            Inbound("post", b"{}", "k", is_binary=True),
            "invalid_message",
            "data is binary; this event takes JSON",
        ),
        (bytes, Inbound("post", b"{}", "k"), "invalid_message", "data is JSON; this event takes binary data"),
    ],
)
def test_data_that_does_not_fit_keeps_its_id(
    annotation: object, inbound: Inbound, code: str, text: str
) -> None:
    """The error can be answered to the message that it belongs to."""
    with pytest.raises(InvalidMessage) as caught:
        CODEC.decoder(annotation)(inbound)

    assert (caught.value.code, caught.value.id) == (code, "k")
    assert text in caught.value.message


@pytest.mark.parametrize("annotation", [object, str | bytes])
@pytest.mark.parametrize("message", ["{", b"\xff"])
def test_whole_messages_come_as_they_are(annotation: object, message: str | bytes) -> None:
    """`receive` without an annotation, or with both kinds, gets every message untouched."""
    assert CODEC.message_decoder(annotation)(message) is message


def test_whole_messages_are_checked_or_decoded() -> None:
    """`str` and `bytes` take their own kind; anything else is JSON text."""
    assert CODEC.message_decoder(str)("a") == "a"
    assert CODEC.message_decoder(bytes)(b"a") == b"a"
    assert CODEC.message_decoder(Post)('{"text":"hi"}') == Post("hi")
    for annotation, message, text in [
        (str, b"a", "message is of the wrong kind; expected text"),
        (bytes, "a", "message is of the wrong kind; expected binary"),
        (Post, b"{}", "message is binary; expected JSON text"),
        (Post, "{}", "message: Object missing required field `text`"),
        (Post, "x", "message is not valid JSON"),
    ]:
        with pytest.raises(InvalidMessage, match=text):
            CODEC.message_decoder(annotation)(message)


def test_decoder_for_what_nothing_decodes_to() -> None:
    """A mistake of the consumer's author is found before the first client comes."""
    for make in (CODEC.decoder, CODEC.message_decoder):
        with pytest.raises(ConsumerError):
            make(complex)
