"""The ledger judges what was pushed against what arrived: delivered, told, lost, duplicate and their like.

It stands alone: it imports nothing else of the library and nothing that is not in the standard library.

    ledger = Ledger()
    ledger.expect("alice", "room", after=0)
    ledger.pushed("room", 1, digest("hello"))
    ledger.arrived("alice", "room", 1, digest("hello"))
    ledger.judge().assert_clean()
"""

from .book import Ledger
from .marks import Mark, Marked, digest, find_marks, mark
from .verdicts import FATES, FAULTS, Example, Judgement, Verdict

__all__ = (
    "FATES",
    "FAULTS",
    "Example",
    "Judgement",
    "Ledger",
    "Mark",
    "Marked",
    "Verdict",
    "digest",
    "find_marks",
    "mark",
)
