"""Know an image by its first bytes, and put it into one event with the name of whoever sent it."""

from __future__ import annotations

import json

__all__ = ("MAX_IMAGE_BYTES", "image_kind", "signed_image")

MAX_IMAGE_BYTES = 8 * 1024 * 1024


def image_kind(data: bytes) -> str | None:
    """Return the media type of a PNG, JPEG, GIF or WebP image, else None.

    What a client says about its bytes is not asked. SVG is left out on purpose: it is as much a program.
    """
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return None


def signed_image(by: str, kind: str, image: bytes) -> bytes:
    """Return the data of an image event: two bytes with the length of a JSON header, the header, the image.

    The data of a binary event are its bytes alone. Two events, one with the name and one with the image,
    would have to find each other again at the other end.
    """
    header = json.dumps({"by": by, "kind": kind}).encode()
    return len(header).to_bytes(2, "big") + header + image
