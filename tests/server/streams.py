"""Streams of client bytes for the equivalence tests: mostly right, sometimes wrong in one place, in any slices."""

from __future__ import annotations

import random
import struct
from itertools import pairwise

__all__ = ("MAX_BYTES", "cut", "random_stream")

MAX_BYTES = 300
"""Small, so that messages too big are common."""

_TEXTS = ("", "a", "hello", "ä", "€", "🎈", "κόσμε", "x" * 125, "y" * 126, "z" * 299, "ö" * 150)
_BAD_UTF8 = (b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\xaf", b"a\x80")
_CODES = (
    1000,
    1001,
    1003,
    1007,
    1011,
    1014,
    3000,
    4999,
    0,
    999,
    1004,
    1005,
    1006,
    1015,
    1016,
    2999,
    5000,
    65535,
)


def random_stream(rng: random.Random) -> bytes:
    """Return the bytes of a few frames."""
    return b"".join(_message(rng) for _ in range(rng.randint(0, 5)))


def cut(rng: random.Random, data: bytes) -> list[bytes]:
    """Return `data` in slices, from single bytes to all at once."""
    if rng.random() < 0.2:
        return [data[i : i + 1] for i in range(len(data))]
    marks = sorted({0, len(data), *[rng.randint(0, len(data)) for _ in range(rng.randint(0, 6))]})
    return [data[a:b] for a, b in pairwise(marks)]


def _message(rng: random.Random) -> bytes:
    choice = rng.random()
    if choice < 0.25:
        return _frame(rng, rng.choice((8, 9, 10)), _control_payload(rng))
    opcode = rng.choice((1, 2))
    payload = (
        rng.choice(_TEXTS).encode() if opcode == 1 else rng.randbytes(rng.choice((0, 1, 5, 126, 300, 301)))
    )
    if opcode == 1 and rng.random() < 0.15:
        payload += rng.choice(_BAD_UTF8)
    if choice < 0.6:
        return _frame(rng, opcode, payload)
    pieces = cut(rng, payload) or [b""]
    out = []
    for index, piece in enumerate(pieces):
        final = index == len(pieces) - 1 and rng.random() < 0.95
        out.append(_frame(rng, 0 if index else opcode, piece, final=final))
        if rng.random() < 0.2:
            out.append(_frame(rng, rng.choice((8, 9, 10)), _control_payload(rng)))
    return b"".join(out)


def _control_payload(rng: random.Random) -> bytes:
    if rng.random() < 0.5:
        return rng.randbytes(rng.choice((0, 1, 2, 125)))
    return rng.choice(_CODES).to_bytes(2, "big") + rng.choice(_TEXTS)[:50].encode()


def _frame(rng: random.Random, opcode: int, payload: bytes, *, final: bool = True) -> bytes:
    head = (0x80 if final else 0) | opcode
    if rng.random() < 0.03:
        head ^= 1 << rng.randint(0, 7)
    is_masked = rng.random() > 0.02
    size = len(payload)
    bit = 0x80 if is_masked else 0
    form = rng.random()
    if size < 126 and form > 0.03:
        start = struct.pack("!BB", head, bit | size)
    elif size < 65536 and form > 0.01:
        start = struct.pack("!BBH", head, bit | 126, size)
    else:
        start = struct.pack("!BBQ", head, bit | 127, size if form > 0.002 else rng.getrandbits(64))
    if not is_masked:
        return start + payload
    mask = rng.randbytes(4)
    return start + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
