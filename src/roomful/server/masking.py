"""Unmasking: what turns a client's masked payload into bytes (RFC 6455 §5.3).

The fast form is the C function of `websockets`, which that library exports and does not document. This is the one
module that knows of it; without it the same is done with integers, ten times slower for large payloads.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ("unmask", "unmask_with_integers")


def unmask_with_integers(data: bytes | memoryview, mask: bytes) -> bytes:
    """Return `data` with `mask` (four bytes) taken off, in pure Python."""
    size = len(data)
    whole = mask * (size // 4 + 1)
    mixed = int.from_bytes(data, sys.byteorder) ^ int.from_bytes(whole[:size], sys.byteorder)
    return mixed.to_bytes(size, sys.byteorder)


unmask: Callable[[bytes | memoryview, bytes], bytes]
"""Return `data` with `mask` (four bytes) taken off."""

try:
    from websockets.speedups import apply_mask as unmask
except ImportError:  # a platform without wheels, or PyPy
    unmask = unmask_with_integers
