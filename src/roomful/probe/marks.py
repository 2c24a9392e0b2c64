"""What each message of the probe carries: run, sender, sequence, intended time and a check of them.

The ledger has marks of its own for tests; these have a fixed length and leave the rest of the message constant, so
that neither sender nor receiver touches a large message byte by byte in Python: making the ledger's mark with its
filler costs 41 µs at 64 KB and 660 µs at 1 MB, more than sending it.
A mark is ASCII without quotes, backslashes, spaces, `<`, `>` or `&`, so that it survives JSON and HTML.
"""

from __future__ import annotations

from typing import Final, NamedTuple
from zlib import crc32

__all__ = ("DAMAGED", "MARK_BYTES", "MAX_SENDERS", "RUN_BYTES", "START", "FoundMark", "Marker", "find_mark")

START: Final = b"~p1."
RUN_BYTES: Final = 6
MAX_SENDERS: Final = 100_000
# ~p1.RRRRRR.SSSSS.NNNNNNNNNN.UUUUUUUUUUUU.CCCCCCCC~
MARK_BYTES: Final = 50
_SENDER: Final = slice(11, 16)
_SEQ: Final = slice(17, 27)
_DUE: Final = slice(28, 40)
_CHECKED_BYTES: Final = 41

DAMAGED: Final = 1 << 63
"""Added to a message's digest when what came is not what was sent."""


class FoundMark(NamedTuple):
    """A mark that came back: whose, which, when it was due (µs from the run's start), and its check."""

    run: bytes
    sender: int
    seq: int
    due_us: int
    check: int


class Marker:
    """Make the marks of one sender of one run."""

    __slots__ = ("_format", "prefix")

    def __init__(self, run: str, sender: int) -> None:
        """Prepare.

        Raises:
            ValueError: the run's name or the sender's number does not fit.
        """
        if len(run) != RUN_BYTES or not run.isalnum() or not run.isascii():
            raise ValueError(f"run is {run!r}; it must be {RUN_BYTES} letters and digits")
        if not 0 <= sender < MAX_SENDERS:
            raise ValueError(f"sender is {sender}; it must be from 0 to {MAX_SENDERS - 1}")
        self.prefix: bytes = b"%b%b.%05d." % (START, run.encode(), sender)
        self._format = self.prefix + b"%010d.%012d."

    def mark(self, seq: int, due_us: int) -> tuple[bytes, int]:
        """Return the mark and its check."""
        head = self._format % (seq, due_us)
        check = crc32(head)
        return b"%b%08x~" % (head, check), check


def find_mark(data: bytes, start: int, end: int) -> tuple[int, FoundMark | None]:
    """Find the first mark between `start` and `end`.

    Returns:
        Where it begins and what it says; where it begins and `None` when its check does not hold; -1 and `None`
        when there is none.
    """
    place = data.find(START, start, end)
    if place < 0:
        return -1, None
    text = data[place : place + MARK_BYTES]
    try:
        check = int(text[41:49], 16)
        if check != crc32(text[:_CHECKED_BYTES]) or len(text) != MARK_BYTES:
            return place, None
        return place, FoundMark(text[4:10], int(text[_SENDER]), int(text[_SEQ]), int(text[_DUE]), check)
    except ValueError:
        return place, None
