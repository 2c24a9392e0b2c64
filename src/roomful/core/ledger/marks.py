"""Marks: payloads that say who sent them, which they are and when they were due, wherever they come back.

A mark is plain ASCII without quotes, backslashes, spaces, `<`, `>` or `&`, so it survives text frames, JSON
and HTML, and it is found inside whatever a server wraps around it.
A mark whose own header was damaged is not found: nobody can say whose it was, so the ledger calls it lost.
It is no protection against somebody who forges marks.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from functools import cache, lru_cache
from hashlib import blake2b, shake_128
from typing import NamedTuple
from zlib import crc32

__all__ = ("Mark", "Marked", "digest", "find_marks", "mark")

_START = b"~m1."
_NAME = re.compile(r"[A-Za-z0-9_:@-]{1,64}")
_HEADER = re.compile(
    rb"(~m1\.([A-Za-z0-9_:@-]{1,64})\.([A-Za-z0-9_:@-]{1,64})\.(\d{1,19})\.(-?\d{1,18})\.(\d{1,12})\.)([0-9a-f]{8})~"
)
_CHECK_LENGTH = 9
_MAX_SEQ = 2**63 - 1
_MAX_AT_US = 10**18
# 64 KiB: longer than the window of deflate (32 KiB), so that repeating it does not help a compressor.
_BLOCK = 1 << 16
_DAMAGED = 1 << 63


class Marked(NamedTuple):
    """A payload to send, and the digest to record with `Ledger.pushed`."""

    data: bytes
    digest: int


class Mark(NamedTuple):
    """A mark as it was found.

    `digest` equals that of `mark` when the whole mark is intact, and differs from it otherwise.
    """

    run: str
    stream: str
    seq: int
    at: float
    size: int
    digest: int

    @property
    def intact(self) -> bool:
        """Whether header and filler are what `mark` made, and complete."""
        return self.digest < _DAMAGED


def digest(data: bytes | bytearray | memoryview | str) -> int:
    """Return 64 bits that stand for the content; text counts as its UTF-8 bytes.

    A damaged message has the same digest with a chance of 2**-64. Costs about 1 µs, and 1 ms per MB.

    Raises:
        UnicodeEncodeError: the text holds a lone surrogate.
    """
    if isinstance(data, str):
        data = data.encode()
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big")


def mark(run: str, stream: str, seq: int, at: float, size: int | None = None) -> Marked:
    """Make a payload that `find_marks` recognises.

    Args:
        run: names the run, so that marks of an earlier one are told apart.
        stream: names the sender or room; letters, digits and `_:@-`, at most 64, like `run`.
        seq: its sequence in the stream.
        at: its intended time in seconds, kept to the microsecond.
        size: exact length in bytes, by default the shortest possible (about 50).

    Raises:
        ValueError: a name or number does not fit, or the size is too small for the header.
    """
    at_us = round(at * 1e6)
    if not (0 <= seq < _MAX_SEQ and -_MAX_AT_US < at_us < _MAX_AT_US):
        raise ValueError(f"mark of sequence {seq} at {at} s does not fit; see Ledger.pushed for their bounds")
    start = f"{_names(run, stream)}{seq}.{at_us}."
    # The header holds the size, which by default depends on the header's length.
    length = len(start) + 1 + _CHECK_LENGTH
    if size is None:
        size = length + len(str(length + len(str(length))))
    shortest = length + len(str(size))
    if size < shortest:
        raise ValueError(f"mark size is {size} bytes; this header alone needs {shortest}")
    head = f"{start}{size}.".encode()
    check = crc32(head)
    data = b"".join((b"%b%08x~" % (head, check), *_filler(check, size - shortest)))
    return Marked(data, _digest(check, size))


def find_marks(data: bytes | bytearray | memoryview | str) -> list[Mark]:
    """Find every mark in what came back, in order, whatever stands around it.

    A filler that is damaged or cut off makes the mark's digest differ, so that the ledger says *corrupted*.
    """
    if isinstance(data, str):
        data = data.encode(errors="replace")
    elif not isinstance(data, bytes):
        data = bytes(data)
    marks: list[Mark] = []
    place = data.find(_START)
    while place >= 0:
        found = _HEADER.match(data, place)
        if not found:
            place = data.find(_START, place + 1)
            continue
        head, run, stream, seq, at_us, length, hexadecimal = found.groups()
        check = crc32(head)
        if check != int(hexadecimal, 16):
            place = data.find(_START, place + 1)
            continue
        size = int(length)
        rest = size - len(head) - _CHECK_LENGTH
        place = found.end()
        # The length first: a size that a forger chose must not make us build a filler of a terabyte.
        intact = 0 <= rest <= len(data) - place and _is_filler(check, rest, data, place)
        if intact:
            place += rest
        identity = _digest(check, size) if intact else _digest(check, size) | _DAMAGED
        marks.append(Mark(run.decode(), stream.decode(), int(seq), int(at_us) / 1e6, size, identity))
        place = data.find(_START, place)
    return marks


def _digest(check: int, size: int) -> int:
    # Stream and sequence already name the message, and the filler follows from the check; 2**63 stays free.
    return check << 31 | size & 0x7FFF_FFFF


@lru_cache(maxsize=1024)
def _names(run: str, stream: str) -> str:
    for name in (run, stream):
        if not _NAME.fullmatch(name):
            raise ValueError(f"mark name is {name!r}; it must be 1 to 64 of letters, digits and _:@-")
    return f"~m1.{run}.{stream}."


@cache
def _block() -> bytes:
    """Return text that does not compress well, twice over so that any stretch of 64 KiB is one slice."""
    return urlsafe_b64encode(shake_128(b"roomful").digest(_BLOCK * 3 // 4)) * 2


def _filler(check: int, length: int) -> list[bytes]:
    # Pieces, most of them one object: a 1 MB body is made by one copy and compared by none.
    start = check % _BLOCK
    pieces, rest = divmod(length, _BLOCK)
    return [_block()[start : start + _BLOCK]] * pieces + [_block()[start : start + rest]]


def _is_filler(check: int, length: int, data: bytes, place: int) -> bool:
    for piece in _filler(check, length):
        if not data.startswith(piece, place):
            return False
        place += len(piece)
    return True
