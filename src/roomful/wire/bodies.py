"""Bodies: what is pushed, encoded once, in the form that a layer carries.

The inside of an event's JSON object stands ready, so that a room's codec only puts room and position behind it.
"""

from __future__ import annotations

import struct

from ..core.envelope import Form
from ..core.errors import NotEncodable
from ..core.events import Event
from . import json

__all__ = ("join_binary", "no_utf8", "pack", "split_binary")

_LENGTH = struct.Struct(">H")


def pack(message: Event | str | bytes) -> tuple[Form, bytes]:
    """Encode what is pushed.

    Raises:
        NotEncodable: The event's data cannot be written as JSON, or the text not as UTF-8.
        TypeError: It is neither an event, text nor bytes.
    """
    if isinstance(message, Event):
        type_ = b'"type":' + json.encode(message.type)
        data = message.data
        if isinstance(data, bytes | bytearray | memoryview):
            return Form.BINARY, join_binary(type_, bytes(data))
        return Form.JSON, type_ + b',"data":' + json.encode(data)
    if isinstance(message, str):
        try:
            return Form.TEXT, message.encode()
        except UnicodeEncodeError:
            raise no_utf8() from None
    if isinstance(message, bytes | bytearray | memoryview):
        return Form.BYTES, bytes(message)
    raise TypeError(f"message is of type {type(message).__name__}; expected Event, str or bytes")


def no_utf8() -> NotEncodable:
    """Return the error of a text that has a lone surrogate."""
    return NotEncodable("text has a lone surrogate, which UTF-8 cannot write")


def join_binary(header: bytes, data: bytes | memoryview) -> bytes:
    """Put the length of a header, the header and the data together."""
    return b"".join((_LENGTH.pack(len(header)), header, data))


def split_binary(body: bytes | memoryview) -> tuple[bytes, memoryview]:
    """Return header and data of what `join_binary` made; the data is seen and not copied.

    Raises:
        ValueError: The body is shorter than its header.
    """
    if len(body) < _LENGTH.size:
        raise ValueError("binary event has no header")
    end = _LENGTH.size + _LENGTH.unpack_from(body)[0]
    if len(body) < end:
        raise ValueError(f"binary event is {len(body)} bytes; its header ends at {end}")
    view = memoryview(body)
    return bytes(view[_LENGTH.size : end]), view[end:]
