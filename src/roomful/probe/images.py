"""Real pictures of a wanted size, to the byte, whose pixels carry the mark: PNG and baseline JPEG.

Nothing is compressed and no imaging library is used: a PNG's pixels stand in stored deflate blocks, and the JPEG's
Huffman tables hold one code, `0`, followed by seven bits, so that every byte below 0x80 is one coefficient.
Hence the mark's own ASCII stands in the pixels, and the rest of a picture never changes.
They are noise to look at.
"""

from __future__ import annotations

import random
from math import isqrt
from struct import pack
from typing import Final
from zlib import adler32, crc32

from roomful.probe.marks import MARK_BYTES
from roomful.probe.recipes import Recipe

__all__ = ("MIN_IMAGE_BYTES", "jpeg", "png")

MIN_IMAGE_BYTES: Final = 1024
_STORED_MAX: Final = 65_535
_ADLER: Final = 65_521


def png(size: int) -> Recipe:
    """Return a greyscale PNG of `size` bytes; the mark is its first pixels.

    The checksums that cover the mark (a CRC behind it, the Adler-32 at the end) are sealed for each message.
    """
    width = max(64, isqrt(size))
    # Padding is a private chunk ("prVt": ancillary, private, safe to copy) as rows have a fixed width.
    frame = len(_chunk(b"IDAT", b"")) * 3 + 8 + 25 + 12 + 2 + 4
    room = size - frame - 12
    row = width + 1
    height = room // (row + 1)
    while True:
        raw_bytes = row * height
        blocks = 1 + -(-(raw_bytes - MARK_BYTES - 1) // _STORED_MAX)
        padding = room - raw_bytes - 5 * blocks
        if padding >= 0:
            break
        height -= 1
    rest = bytearray(random.Random(size).randbytes(raw_bytes - 1 - MARK_BYTES))
    for start in range(width - MARK_BYTES, len(rest), row):
        rest[start] = 0  # the filter type of each further row: none
    head = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    head += _chunk(b"prVt", bytes(padding))
    # Chunk 1: zlib header, a stored block with the filter byte and the mark.
    first = 1 + MARK_BYTES
    opening = b"\x78\x01" + _stored(first, last=False) + b"\0"
    before = head + pack(">I", len(opening) + MARK_BYTES) + b"IDAT" + opening
    crc_before_mark = crc32(b"IDAT" + opening)
    blocks_bytes = bytearray()
    for start in range(0, len(rest), _STORED_MAX):
        part = rest[start : start + _STORED_MAX]
        blocks_bytes += _stored(len(part), last=start + _STORED_MAX >= len(rest)) + part
    body = _chunk(b"IDAT", bytes(blocks_bytes)) + pack(">I", 4) + b"IDAT"
    adler_rest = adler32(bytes(rest))
    rest_bytes = len(rest)

    def seal(mark: bytes) -> tuple[bytes, bytes]:
        total = pack(">I", _adler_join(adler32(b"\0" + mark), adler_rest, rest_bytes))
        return pack(">I", crc32(mark, crc_before_mark)), total + pack(">I", crc32(b"IDAT" + total))

    return Recipe(
        before=before, body=body, end=_chunk(b"IEND", b""), binary=True, seal=seal, seal_bytes=(4, 8)
    )


def jpeg(size: int) -> Recipe:
    """Return a greyscale baseline JPEG of `size` bytes; the mark is its first coefficients."""
    quantisation = b"\xff\xdb" + pack(">HB", 67, 0) + b"\x01" * 64
    # One code of one bit, whose symbol says "seven bits follow": for DC its size, for AC no zeros before and size 7.
    tables = b"".join(
        b"\xff\xc4" + pack(">HB", 20, kind) + b"\x01" + bytes(15) + b"\x07" for kind in (0x00, 0x10)
    )
    scan = b"\xff\xda" + pack(">HBBBBBB", 8, 1, 1, 0x00, 0, 63, 0)
    fixed = 2 + len(quantisation) + 13 + len(tables) + len(scan) + 2
    room = size - fixed
    across = max(1, isqrt(room // 64))
    down = room // 64 // across
    pixels = across * down * 64
    padding = room - pixels
    while 0 < padding < 4:  # a comment has four bytes of its own
        down -= 1
        pixels = across * down * 64
        padding = room - pixels
    frame = b"\xff\xc0" + pack(">HBHHB3B", 11, 8, down * 8, across * 8, 1, 1, 0x11, 0)
    before = b"\xff\xd8" + _comments(padding) + quantisation + frame + tables + scan
    noise = (
        random.Random(size)
        .randbytes(pixels - MARK_BYTES)
        .translate(bytes(byte & 0x7F for byte in range(256)))
    )
    return Recipe(before=before, body=noise, end=b"\xff\xd9", binary=True)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return pack(">I", len(data)) + kind + data + pack(">I", crc32(kind + data))


def _stored(length: int, *, last: bool) -> bytes:
    return pack("<BHH", last, length, length ^ 0xFFFF)


def _adler_join(first: int, second: int, second_bytes: int) -> int:
    """Return the Adler-32 of two pieces from that of each."""
    low = (first & 0xFFFF) + (second & 0xFFFF) - 1
    high = (first >> 16) + (second >> 16) + second_bytes * ((first & 0xFFFF) - 1)
    return (high % _ADLER) << 16 | low % _ADLER


def _comments(length: int) -> bytes:
    """Return comment segments of exactly `length` bytes, which is 0 or at least 4."""
    made = bytearray()
    while length:
        part = min(length, _STORED_MAX + 2)
        if 0 < length - part < 4:
            part -= 4
        made += b"\xff\xfe" + pack(">H", part - 2) + b"." * (part - 4)
        length -= part
    return bytes(made)
