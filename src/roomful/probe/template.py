"""The frame of a message, masked ahead: only the mark and its seal are masked for each message.

One template serves all connections with the same masking key, as a picture of 4 MB must not be kept a thousand times.
"""

from __future__ import annotations

from roomful.probe.adapter import Around
from roomful.probe.frames import BINARY, TEXT, frame_head, mask_table
from roomful.probe.recipes import Recipe

__all__ = ("Template",)


class Template:
    """Make the frames of one recipe."""

    __slots__ = ("_body", "_head", "_seal", "_table", "_tail", "size")

    def __init__(self, recipe: Recipe, around: Around, key_byte: int) -> None:
        self._table = mask_table(key_byte)
        self._seal = recipe.seal
        self.size: int = recipe.size + len(around.before) + len(around.after)
        """Bytes of a message with what stands around it."""
        head = frame_head(BINARY if recipe.binary else TEXT, self.size, key_byte)
        end = recipe.end + around.after
        self._head = head + (around.before + recipe.before).translate(self._table)
        self._body = recipe.body.translate(self._table)
        self._tail = end.translate(self._table)
        if recipe.seal is None:
            self._tail = self._body + self._tail
            self._body = b""

    def parts(self, mark: bytes) -> list[bytes]:
        """Return the frame of the message with this mark; to be written without a gap, in this order."""
        if self._seal is None:
            return [self._head, mark.translate(self._table), self._tail]
        first, second = self._seal(mark)
        return [
            self._head,
            (mark + first).translate(self._table),
            self._body,
            second.translate(self._table) + self._tail,
        ]
