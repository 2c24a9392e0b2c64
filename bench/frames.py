"""Frames of RFC 6455 as the load and the raw servers need them: made, read and unmasked. Pure."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ("CLOSE", "MASK", "PING", "Head", "client_frame", "read_head", "server_frame", "unmask")

PING = 0x9
CLOSE = 0x8
MASK = b"\x37\xfa\x21\x3d"
"""The key of every client frame, the one of RFC 6455 §5.7; servers do the same work for any key but zero."""


class Head(NamedTuple):
    """The head of a server's frame: its opcode, and where its payload begins and ends."""

    opcode: int
    payload_at: int
    end: int


def unmask(payload: bytes, key: bytes) -> bytes:
    """Return the payload with the key taken off, or put on (RFC 6455 §5.3)."""
    size = len(payload)
    keys = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(keys, "little")).to_bytes(size, "little")


def client_frame(payload: bytes, *, opcode: int = 0x1) -> bytes:
    """Return a whole, masked frame."""
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | opcode, 0x80 | size))
    elif size < 65536:
        head = bytes((0x80 | opcode, 0xFE)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x80 | opcode, 0xFF)) + size.to_bytes(8, "big")
    return head + MASK + unmask(payload, MASK)


def server_frame(payload: bytes, *, opcode: int = 0x1) -> bytes:
    """Return a whole frame as a server writes it."""
    size = len(payload)
    if size < 126:
        return bytes((0x80 | opcode, size)) + payload
    if size < 65536:
        return bytes((0x80 | opcode, 126)) + size.to_bytes(2, "big") + payload
    return bytes((0x80 | opcode, 127)) + size.to_bytes(8, "big") + payload


def read_head(data: bytes, start: int) -> Head | None:
    """Read the head of the frame at `start`, or return None while its end cannot be known."""
    available = len(data) - start
    if available < 2:
        return None
    size = data[start + 1]
    payload_at = start + 2
    if size == 126:
        payload_at += 2
    elif size == 127:
        payload_at += 8
    if size >= 126:
        if len(data) < payload_at:
            return None
        size = int.from_bytes(data[start + 2 : payload_at], "big")
    return Head(data[start] & 0x0F, payload_at, payload_at + size)
