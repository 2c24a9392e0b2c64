"""What people and rooms may be called."""

from __future__ import annotations

import unicodedata

__all__ = ("MAX_NAME", "MAX_ROOM", "tidy")

MAX_NAME = 24
MAX_ROOM = 40


def tidy(text: str, limit: int) -> str | None:
    """Return `text` in its one tidy form, or None when it has not 1 to `limit` printable characters.

    Printable leaves out what hides or turns round other text, so that a name looks like what it is.
    """
    text = " ".join(unicodedata.normalize("NFC", text).split())
    return text if text and len(text) <= limit and text.isprintable() else None
