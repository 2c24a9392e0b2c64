"""WebSocket frames as a client writes and reads them (RFC 6455 §5), as quick as Python can.

`websockets` performs the handshake; its data path is not used, as it masks and copies each message once more (at
64 KB that costs more than sending does).
The masking key is four equal random bytes, chosen once a connection: constant parts of messages are masked once,
whatever their alignment, and the server has the same work as with any key. The unpredictability that §10.3 asks for
protects proxies from scripts in browsers; a probe has no such scripts.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

__all__ = ("BINARY", "CLOSE", "PING", "PONG", "TEXT", "FrameError", "FrameReader", "frame_head", "mask_table")

CONTINUATION: Final = 0x0
TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA

_16: Final = Struct(">BBH")
_64: Final = Struct(">BBQ")


class FrameError(ValueError):
    """The server sent what is no frame; the connection cannot be read any further.

    Attributes:
        code: The close code that says so.
    """

    def __init__(self, code: int, text: str) -> None:
        self.code = code
        super().__init__(text)


def mask_table(byte: int) -> bytes:
    """Return the table with which `bytes.translate` masks by a key of four times `byte`."""
    return bytes(value ^ byte for value in range(256))


def frame_head(opcode: int, length: int, key_byte: int) -> bytes:
    """Return the header of a final, masked frame (RFC 6455 §5.2)."""
    key = bytes((key_byte,)) * 4
    if length < 126:
        return bytes((0x80 | opcode, 0x80 | length)) + key
    if length < 1 << 16:
        return _16.pack(0x80 | opcode, 0xFE, length) + key
    return _64.pack(0x80 | opcode, 0xFF, length) + key


class FrameReader:
    """Cut a stream of bytes into messages and control frames.

    `feed` returns `(opcode, data, start, end)` for each: the payload is `data[start:end]`, not copied out of what was
    fed where that can be avoided. Fragments are joined; control frames between them come first.
    """

    __slots__ = ("_need", "_opcode", "_parts", "_pending", "_pending_bytes", "max_bytes")

    def __init__(self, *, max_bytes: int) -> None:
        self.max_bytes: int = max_bytes
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._need = 0
        self._parts: list[bytes] = []
        self._opcode = 0

    def feed(self, data: bytes) -> list[tuple[int, bytes, int, int]]:
        """Take bytes as they came.

        Raises:
            FrameError: they break the protocol, or a frame is larger than `max_bytes`.
        """
        if self._pending:
            self._pending.append(data)
            self._pending_bytes += len(data)
            if self._pending_bytes < self._need:
                return []
            data = b"".join(self._pending)
            self._pending.clear()
        found: list[tuple[int, bytes, int, int]] = []
        place = 0
        size = len(data)
        while True:
            need = 2
            if size - place < need:
                break
            first = data[place]
            length = data[place + 1]
            start = place + 2
            if length > 125:
                if length > 127:
                    raise FrameError(1002, "a frame of the server is masked (RFC 6455 §5.1)")
                wide = 2 if length == 126 else 8
                need = 2 + wide
                if size - place < need:
                    break
                length = int.from_bytes(data[start : start + wide], "big")
                start += wide
                if length > self.max_bytes:
                    raise FrameError(
                        1009, f"a frame of the server has {length} bytes; expected {self.max_bytes}"
                    )
            end = start + length
            need = end - place
            if end > size:
                break
            place = end
            if first & 0x8F in (0x81, 0x82) and not first & 0x70:
                found.append((first & 0x0F, data, start, end))
            else:
                self._unusual(found, first, data, start, end)
        if place < size:
            self._pending.append(data[place:] if place else data)
            self._pending_bytes = size - place
            self._need = need
        return found

    def _unusual(
        self, found: list[tuple[int, bytes, int, int]], first: int, data: bytes, start: int, end: int
    ) -> None:
        opcode = first & 0x0F
        if first & 0x70:
            raise FrameError(1002, "a frame of the server uses an extension that was not agreed upon")
        if opcode in (CLOSE, PING, PONG):
            found.append((opcode, data, start, end))
            return
        if opcode not in (CONTINUATION, TEXT, BINARY):
            raise FrameError(1002, f"a frame of the server has the unknown opcode {opcode}")
        if opcode != CONTINUATION:
            self._opcode = opcode
            self._parts.clear()
        self._parts.append(data[start:end])
        if first & 0x80:
            whole = b"".join(self._parts)
            self._parts.clear()
            found.append((self._opcode, whole, 0, len(whole)))
