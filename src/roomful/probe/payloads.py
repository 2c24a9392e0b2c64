"""The kinds of message that the probe sends: text, binary, and real pictures.

It says which recipe belongs to a kind and size; what a recipe is stands in `recipes`.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from functools import lru_cache
from hashlib import shake_128
from typing import Final

from roomful.probe.errors import UsageError
from roomful.probe.images import MIN_IMAGE_BYTES, jpeg, png
from roomful.probe.marks import MARK_BYTES
from roomful.probe.recipes import Recipe

__all__ = ("KINDS", "least_bytes", "make_recipe")

KINDS: Final = ("text", "binary", "png", "jpeg")


def least_bytes(kind: str) -> int:
    """Return the smallest size of a kind: a message has to hold its mark."""
    return MARK_BYTES if kind in ("text", "binary") else MIN_IMAGE_BYTES


@lru_cache(maxsize=16)
def make_recipe(kind: str, size: int) -> Recipe:
    """Return the recipe of a kind and size.

    Raises:
        UsageError: the kind is unknown, or the size too small for it.
    """
    least = least_bytes(kind)
    if kind not in KINDS:
        raise UsageError(f"kind is {kind!r}; expected one of {', '.join(KINDS)}")
    if size < least:
        raise UsageError(f"size is {size} bytes; a {kind} message with its mark needs {least}")
    if kind == "png":
        return png(size)
    if kind == "jpeg":
        return jpeg(size)
    return Recipe(body=_filler(size - MARK_BYTES, binary=kind == "binary"), binary=kind == "binary")


def _filler(length: int, *, binary: bool) -> bytes:
    """Return text or bytes that do not compress: 64 KiB, longer than deflate's window, repeated."""
    block = shake_128(b"roomful").digest(1 << 16)
    if not binary:
        block = urlsafe_b64encode(block[: 3 << 14])
    return (block * (length // len(block) + 1))[:length]
