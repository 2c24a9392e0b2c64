"""Frames as a server writes them: bytes of RFC 6455 §5.2, unmasked and unfragmented.

Nothing here reads frames (that is `parser`), and nothing here compresses: a compressing framing will be another
implementation of the port beside `BytesFraming`, so that members of both kinds never share a frame.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from ..core.ports import Frame

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..core.ports import Message

__all__ = ("FRAMING", "PING", "BytesFraming", "binary_frame", "close_frame", "pong_frame", "text_frame")

_TEXT: Final = 0x81  # FIN and opcode 1
_BINARY: Final = 0x82
_CLOSE: Final = 0x88
_PONG: Final = 0x8A
_SHORT: Final = struct.Struct("!BB")
_MEDIUM: Final = struct.Struct("!BBH")
_LONG: Final = struct.Struct("!BBQ")

PING: Final = b"\x89\x00"
"""A ping without payload: any byte that comes back is a sign of life, so there is nothing to match."""


def text_frame(payload: bytes) -> bytes:
    """Return a whole text message, its payload UTF-8, as one frame."""
    return _frame(_TEXT, payload)


def binary_frame(payload: bytes) -> bytes:
    """Return a whole binary message as one frame."""
    return _frame(_BINARY, payload)


def close_frame(code: int | None, reason: str = "") -> bytes:
    """Return a close frame; without a code its payload is empty (RFC 6455 §5.5.1).

    `reason` is at most 123 bytes of UTF-8; whoever takes it from an application has checked that.
    """
    if code is None:
        return _SHORT.pack(_CLOSE, 0)
    payload = code.to_bytes(2, "big") + reason.encode()
    return _SHORT.pack(_CLOSE, len(payload)) + payload


def pong_frame(payload: bytes) -> bytes:
    """Return the answer to a ping with `payload` (RFC 6455 §5.5.3)."""
    return _SHORT.pack(_PONG, len(payload)) + payload


def _frame(first: int, payload: bytes) -> bytes:
    return _head(first, len(payload)) + payload


def _head(first: int, size: int) -> bytes:
    # The length stands in the shortest form (RFC 6455 §5.2).
    if size < 126:
        return _SHORT.pack(first, size)
    if size < 65536:
        return _MEDIUM.pack(first, 126, size)
    return _LONG.pack(first, 127, size)


class BytesFraming:
    """The port `Framing` in bytes: what it joins is written to a transport as it is."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "FRAMING"

    def frame(self, messages: Sequence[Message]) -> Frame:
        """Return the frames of these messages, in order, as one."""
        parts: list[bytes | memoryview] = []
        for message in messages:
            size = len(message.data) + len(message.tail)
            parts += (_head(_TEXT if message.is_text else _BINARY, size), message.data, message.tail)
        data = b"".join(parts)
        return Frame(data, len(data))

    def text(self, data: bytes) -> bytes:
        """Return the bytes of one text message."""
        # As `_frame`, without a call: most answers are made here.
        size = len(data)
        if size < 126:
            return _SHORT.pack(_TEXT, size) + data
        if size < 65536:
            return _MEDIUM.pack(_TEXT, 126, size) + data
        return _frame(_TEXT, data)

    def concat(self, parts: Sequence[object]) -> bytes:
        """Return the bytes of what `text` and `join` returned, in order."""
        return b"".join(parts)  # type: ignore[arg-type]  # as in `join`

    def size(self, part: object) -> int:
        """Return the bytes of what `text` or `join` returned."""
        return len(part)  # type: ignore[arg-type]  # as in `join`

    def join(self, frames: Sequence[Frame]) -> bytes:
        """Return the bytes of these frames, in order."""
        if len(frames) == 1:
            return frames[0].data  # type: ignore[return-value]  # the port keeps `data` opaque; ours are bytes
        return b"".join([frame.data for frame in frames])  # type: ignore[misc]  # as above


FRAMING: Final = BytesFraming()
"""The one instance, so that connections share their frames."""
