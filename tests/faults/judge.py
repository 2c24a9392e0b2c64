"""The judge of a fault: what every sender asked for against what every member got, by `core.ledger`.

A sender numbers its own events, so a stream is a sender. Its numbers survive every change of epoch, in which positions
do not; a gap notice names positions, and is translated by the receipts.
"""

from __future__ import annotations

from collections import defaultdict

from roomful.core.ledger import Judgement, Ledger, digest

__all__ = ("Judge",)


class Judge:
    """One run.

    Attributes:
        arrivals: Events that came to members.
        accepted: Pushes that have a receipt.
        refused: Pushes that had no effect, by what was said.
        in_doubt: Pushes of which nobody knows.
        notices: Gap notices, by reason.
        contradictions: Two events at one position.
    """

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.arrivals = 0
        self.accepted = 0
        self.refused: dict[str, int] = defaultdict(int)
        self.in_doubt = 0
        self.notices: dict[str, int] = defaultdict(int)
        self.contradictions: list[str] = []
        self._at: dict[tuple[str, str, int], tuple[str, int]] = {}
        self._last: dict[tuple[str, str], int] = {}
        self._open: dict[str, dict[str, int]] = {}
        self._exact: list[tuple[str, str, str, list[list[int]]]] = []
        self._senders: dict[str, list[str]] = defaultdict(list)
        self._given_up: dict[str, set[int]] = defaultdict(set)

    def expects(self, member: str, room: str, sender: str) -> None:
        """Note that a member is to get all that a sender has pushed to its room."""
        self._last[member, sender] = 0
        self._senders[member].append(sender)
        self.ledger.expect(member, sender, after=0)

    def pushed(self, room: str, sender: str, number: int, outcome: str) -> None:
        """Note what became of a push: a position, `away`, `doubt`, `unknown`, or `refused …`."""
        if outcome.startswith(("away", "refused")):
            self.refused[outcome[:60]] += 1
            return
        self.ledger.pushed(sender, number, digest(f"{sender} {number}"))
        if outcome in {"doubt", "unknown"}:
            self.in_doubt += 1
            self.ledger.doubted(sender, [(number, number)])
        else:
            self.accepted += 1
            self._stands(room, outcome, sender, number)

    def arrived(self, member: str, room: str, at: str, sender: str, number: int) -> None:
        """Note an event that came to a member."""
        self.arrivals += 1
        told = self._open.get(member)
        if told is not None and sender in told:
            first = told.pop(sender)
            if first < number:
                self.ledger.told(member, sender, [(first, number - 1)])
        self._last[member, sender] = max(self._last[member, sender], number)
        self._stands(room, at, sender, number)
        self.ledger.arrived(member, sender, number, digest(f"{sender} {number}"))

    def gap(self, member: str, room: str, reason: str, epoch: str, ranges: list[list[int]] | None) -> None:
        """Note a gap notice."""
        self.notices[reason] += 1
        if ranges is None:
            self._open.setdefault(member, {}).update(
                {sender: self._last[member, sender] + 1 for sender in self._senders[member]}
            )
        else:
            self._exact.append((member, room, epoch, ranges))

    def judge(self) -> Judgement:
        """Judge, when nothing more comes."""
        for member, room, epoch, ranges in self._exact:
            for first, last in ranges:
                for offset in range(first, last + 1):
                    if (found := self._at.get((room, epoch, offset))) is not None:
                        self.ledger.told(member, found[0], [(found[1], found[1])])
        for member, told in self._open.items():
            for sender, first in told.items():
                self.ledger.told(member, sender, [(first, None)])
        return self.ledger.judge()

    def _stands(self, room: str, at: str, sender: str, number: int) -> None:
        epoch, _, offset = at.partition(":")
        found = self._at.setdefault((room, epoch, int(offset)), (sender, number))
        if found != (sender, number) and len(self.contradictions) < 20:
            self.contradictions.append(f"{room} {at} is {found} and {(sender, number)}")
