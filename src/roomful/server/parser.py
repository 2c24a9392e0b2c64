"""The parser: bytes of one client in, messages and control frames out (RFC 6455 §5, server side).

It is pure: no socket, no clock, no answers. It refuses what the protocol forbids as soon as it can be known, keeps no
byte that it need not keep, and takes no memory on the word of a header.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias

from ..core.close_codes import CloseCode
from .masking import unmask

__all__ = ("Close", "Event", "Parser", "Ping", "Pong", "ProtocolError")

_CONTINUATION: Final = 0x0
_TEXT: Final = 0x1
_BINARY: Final = 0x2
_CLOSE: Final = 0x8
_PING: Final = 0x9
_OPCODES: Final = frozenset((0x0, 0x1, 0x2, 0x8, 0x9, 0xA))

# A list of pieces costs some 40 bytes for each; pieces below this are gathered first, so that a message that comes
# in single bytes takes the memory of its bytes.
_SMALL_PIECE: Final = 1024
_GATHERED: Final = 64 * 1024

_Utf8Decoder: Final = codecs.getincrementaldecoder("utf-8")


@dataclass(frozen=True, slots=True)
class Ping:
    """A ping; its pong carries the same payload (RFC 6455 §5.5.2)."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Pong:
    """A pong, asked for or not (RFC 6455 §5.5.3)."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Close:
    """A close frame; `code` is None when it had no payload (RFC 6455 §5.5.1)."""

    code: int | None
    reason: str


Event: TypeAlias = str | bytes | Ping | Pong | Close
"""What a client sent: a whole message, or a control frame."""


class _Step(Enum):
    GO_ON = "a frame has ended or begun, which is no event"


class ProtocolError(Exception):
    """The client broke the protocol; the connection must fail with `code` (RFC 6455 §7.1.7)."""

    def __init__(self, code: CloseCode, reason: str) -> None:
        self.code = code
        self.reason = reason
        super().__init__(f"{code:d} {reason}")


class Parser:
    """The state of one client's byte stream. It costs time linear in the bytes, however they are sliced.

    Use: `feed` bytes, then call `next_event` until it returns None. Bytes that are not asked for stay as they came.
    After a `ProtocolError` or a `Close` the rest of the stream means nothing.

    Args:
        max_bytes: Largest message, over all its fragments.
    """

    __slots__ = (
        "_data",
        "_decoder",
        "_final",
        "_gathered",
        "_left",
        "_mask",
        "_max",
        "_opcode",
        "_pieces",
        "_pos",
        "_size",
    )

    def __init__(self, max_bytes: int) -> None:
        self._max = max_bytes
        self._data = b""
        self._pos = 0
        # The message under way: its opcode (0 for none), how many bytes its frames announced, what has come of them.
        self._opcode = 0
        self._size = 0
        self._pieces: list[bytes] = []
        self._gathered = bytearray()
        self._decoder: codecs.IncrementalDecoder | None = None
        # The data frame under way.
        self._left = 0
        self._final = False
        self._mask = b""

    @property
    def idle(self) -> bool:
        """Whether nothing is under way: the next byte begins a message, and a new parser would do as well."""
        return not self._opcode and self._pos >= len(self._data)

    def bound(self, max_bytes: int) -> None:
        """Take no message that is larger, from the next frame on."""
        self._max = max_bytes

    def feed(self, data: bytes) -> None:
        """Add what came from the socket. Parses nothing."""
        self._data = self._data[self._pos :] + data if self._pos < len(self._data) else data
        self._pos = 0

    def next_event(self) -> Event | None:
        """Return the next event, or None when more bytes are needed.

        Raises:
            ProtocolError: The client broke the protocol.
        """
        event = self._read()
        if event is None and self._pos:
            # What waits for more is at most a control frame; it must not keep the 256 KiB alive that it came in.
            self._data = self._data[self._pos :]
            self._pos = 0
        return event

    def _read(self) -> Event | None:
        step: Event | _Step | None = _Step.GO_ON
        while step is _Step.GO_ON:
            step = self._payload() if self._left else self._frame()
        return step

    def _frame(self) -> Event | _Step | None:
        """Read the head of the next frame, and the whole of it where it is the whole of an event."""
        data, pos = self._data, self._pos
        if len(data) - pos < 2:
            return None
        head, second = data[pos], data[pos + 1]
        opcode = head & 0x0F
        if opcode not in _OPCODES:
            raise ProtocolError(CloseCode.PROTOCOL_ERROR, "unknown opcode")
        if second < 0x80:
            # §5.1: a server must close the connection upon an unmasked frame.
            raise ProtocolError(CloseCode.PROTOCOL_ERROR, "frame is not masked")
        size = second & 0x7F
        mask_at = pos + 2
        if opcode >= _CLOSE:
            return self._control(head, size, mask_at)
        if size >= 126:
            mask_at = pos + (4 if size == 126 else 10)
            if len(data) < mask_at:
                return None
            size = int.from_bytes(data[pos + 2 : mask_at], "big")
        self._check_data_frame(head, opcode, size)
        payload_at = mask_at + 4
        if len(data) < payload_at:
            return None
        mask = data[mask_at:payload_at]
        end = payload_at + size
        if opcode and head & 0x80 and end <= len(data):
            self._pos = end
            payload = unmask(data[payload_at:end], mask)
            return payload if opcode == _BINARY else _decode(payload)
        if opcode:
            self._opcode = opcode
            self._decoder = _Utf8Decoder() if opcode == _TEXT else None
        self._pos = payload_at
        self._size += size
        self._left = size
        self._mask = mask
        self._final = head >= 0x80
        return self._message() if self._final and not size else _Step.GO_ON

    def _check_data_frame(self, head: int, opcode: int, size: int) -> None:
        if size > self._max - self._size:
            raise ProtocolError(CloseCode.TOO_BIG, f"message is larger than {self._max} bytes")
        if head & 0x70:
            raise ProtocolError(CloseCode.PROTOCOL_ERROR, "reserved bit is set")
        if not opcode and not self._opcode:
            raise ProtocolError(CloseCode.PROTOCOL_ERROR, "continuation of no message")
        if opcode and self._opcode:
            raise ProtocolError(CloseCode.PROTOCOL_ERROR, "message begins inside another")

    def _payload(self) -> Event | _Step | None:
        """Take what has come of the payload of the data frame under way."""
        self._take_piece()
        if self._left:
            return None
        return self._message() if self._final else _Step.GO_ON

    def _control(self, head: int, size: int, mask_at: int) -> Ping | Pong | Close | None:
        """Read a control frame; it may stand between the fragments of a message (§5.5)."""
        if size > 125:
            raise ProtocolError(CloseCode.PROTOCOL_ERROR, "control frame is too long")
        if head & 0x70:
            raise ProtocolError(CloseCode.PROTOCOL_ERROR, "reserved bit is set")
        if head < 0x80:
            raise ProtocolError(CloseCode.PROTOCOL_ERROR, "control frame is fragmented")
        payload_at = mask_at + 4
        end = payload_at + size
        if len(self._data) < end:
            return None
        payload = unmask(self._data[payload_at:end], self._data[mask_at:payload_at])
        self._pos = end
        opcode = head & 0x0F
        if opcode == _CLOSE:
            return _read_close(payload)
        return Ping(payload) if opcode == _PING else Pong(payload)

    def _take_piece(self) -> None:
        """Take one piece of the payload, unmasked and, if text, checked."""
        piece = self._data[self._pos : self._pos + self._left]
        if not piece:
            return
        mask = self._mask
        size = len(piece)
        self._pos += size
        self._left -= size
        piece = unmask(piece, mask)
        turn = size & 3
        self._mask = mask[turn:] + mask[:turn]
        if self._decoder is not None:
            # §8.1: fail on the first byte that cannot be UTF-8, not after the rest of sixteen megabytes.
            try:
                self._decoder.decode(piece)
            except UnicodeDecodeError:
                raise _invalid_text() from None
            pending = self._decoder.getstate()[0]
            # CPython waits for the third byte of a surrogate, for the sake of `surrogatepass`.
            if len(pending) == 2 and pending[0] == 0xED and pending[1] >= 0xA0:
                raise _invalid_text()
        if size >= _SMALL_PIECE:
            self._settle()
            self._pieces.append(piece)
        else:
            self._gathered += piece
            if len(self._gathered) >= _GATHERED:
                self._settle()

    def _settle(self) -> None:
        if self._gathered:
            self._pieces.append(bytes(self._gathered))
            self._gathered = bytearray()

    def _message(self) -> str | bytes:
        """Return the message whose last byte has come, and forget it."""
        self._settle()
        payload = b"".join(self._pieces)
        is_text = self._opcode == _TEXT
        self._opcode = 0
        self._size = 0
        self._pieces = []
        self._decoder = None
        return _decode(payload) if is_text else payload


def _decode(payload: bytes) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError:
        raise _invalid_text() from None


def _invalid_text() -> ProtocolError:
    return ProtocolError(CloseCode.INVALID_DATA, "text is not UTF-8")


def _read_close(payload: bytes) -> Close:
    if not payload:
        return Close(None, "")
    if len(payload) == 1:
        raise ProtocolError(CloseCode.PROTOCOL_ERROR, "close frame has half a code")
    code = int.from_bytes(payload[:2], "big")
    reason = _decode(payload[2:])
    # §7.4: what may stand in a close frame, with the codes registered since (1012–1014).
    if not (1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999):
        raise ProtocolError(CloseCode.PROTOCOL_ERROR, "close code is invalid")
    return Close(code, reason)
