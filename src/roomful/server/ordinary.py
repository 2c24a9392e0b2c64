"""Ordinary frames: messages in one frame, whole, not empty and allowed in every way, read with the fewest steps.

No verdict is ever given here, so that the rules stand in one place: what is anything else, a `Parser` must judge.
"""

from __future__ import annotations

import struct
from typing import Final

from .masking import unmask

__all__ = ("take_message", "take_only")

_HEADS: Final = (0x81, 0x82)  # final text, final binary, no reserved bit
_HEAD: Final = struct.Struct("!BBH")


def take_only(data: bytes, max_bytes: int) -> str | bytes | None:
    """Read what is one ordinary frame below 64 KiB and nothing else; None for anything else, as `take_message` does.

    What a client sends while it waits for an answer comes like this, so it is read with the fewest steps.
    """
    size = len(data)
    if not 8 <= size <= max_bytes:
        return None
    head, second, short_size = _HEAD.unpack_from(data)
    # The second byte is the mask's bit and the size without the six bytes before the payload.
    if second == size + 0x7A and second < 0xFE:
        payload = unmask(data[6:], data[2:6])
    elif second == 0xFE and short_size == size - 8:
        payload = unmask(data[8:], data[4:8])
    else:
        return None
    if head == 0x81:
        try:
            return payload.decode()
        except UnicodeDecodeError:
            return None
    return payload if head == 0x82 else None


def take_message(data: bytes, start: int, max_bytes: int) -> tuple[str | bytes, int] | None:
    """Read the ordinary frame at `start`.

    Returns:
        The message and where the next frame starts; or None for anything else.
    """
    available = len(data) - start
    if available < 7:
        return None
    head = data[start]
    if head not in _HEADS:
        return None
    size = data[start + 1] - 0x80
    if size < 126:
        mask_at = start + 2
    elif size == 126:
        mask_at = start + 4
        size = (data[start + 2] << 8) | data[start + 3]
    else:
        if available < 14:
            return None
        mask_at = start + 10
        size = int.from_bytes(data[start + 2 : mask_at], "big")
    payload_at = mask_at + 4
    end = payload_at + size
    if size <= 0 or size > max_bytes or end > len(data):
        return None
    payload = unmask(data[payload_at:end], data[mask_at:payload_at])
    if head == 0x82:
        return payload, end
    try:
        return payload.decode(), end
    except UnicodeDecodeError:
        return None
