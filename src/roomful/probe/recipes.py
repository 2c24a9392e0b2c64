"""How a message of one size is made around a mark, and how one that came back is checked.

A message is `before | mark | seal | body | seal | end`; all but the mark and the few bytes that seal it is constant.
So making one is joining, and checking one is comparing memory; both are left to C.
"""

from __future__ import annotations

from collections.abc import Callable

from roomful.probe.marks import MARK_BYTES

__all__ = ("Recipe",)


class Recipe:
    """Make and check the messages of one kind and size.

    Args:
        before: Constant bytes before the mark.
        body: Constant bytes behind the mark and its first seal.
        end: Constant bytes behind the second seal.
        binary: Whether it travels as a binary message.
        seal: Computes the bytes directly behind the mark and those behind the body, for formats with checksums.
        seal_bytes: Their lengths.
    """

    __slots__ = ("before", "binary", "body", "end", "seal", "seal_bytes", "size")

    def __init__(
        self,
        *,
        before: bytes = b"",
        body: bytes = b"",
        end: bytes = b"",
        binary: bool = False,
        seal: Callable[[bytes], tuple[bytes, bytes]] | None = None,
        seal_bytes: tuple[int, int] = (0, 0),
    ) -> None:
        self.before: bytes = before
        self.body: bytes = body
        self.end: bytes = end
        self.binary: bool = binary
        self.seal: Callable[[bytes], tuple[bytes, bytes]] | None = seal
        self.seal_bytes: tuple[int, int] = seal_bytes
        self.size: int = len(before) + MARK_BYTES + sum(seal_bytes) + len(body) + len(end)

    def make(self, mark: bytes) -> bytes:
        """Return the whole message."""
        if self.seal is None:
            return b"".join((self.before, mark, self.body, self.end))
        first, second = self.seal(mark)
        return b"".join((self.before, mark, first, self.body, second, self.end))

    def intact(self, data: bytes, place: int, end: int) -> bool:
        """Whether the message whose mark begins at `place` of `data` is there as it was made, before `end`."""
        after = place + MARK_BYTES
        if place - len(self.before) + self.size > end or not data.startswith(
            self.before, place - len(self.before)
        ):
            return False
        if self.seal is None:
            return data.startswith(self.body, after) and data.startswith(self.end, after + len(self.body))
        first, second = self.seal(data[place:after])
        for part in (first, self.body, second, self.end):
            if not data.startswith(part, after):
                return False
            after += len(part)
        return True
