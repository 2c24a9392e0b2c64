"""The record of a torture: what was asked for, answered, and seen, by everybody; and the judgement of it.

Pure: it is told what happened, and never asks. Outbound and inbound each have a ledger. Outbound, a room's events are
owed to its members. Inbound, what clients asked for is owed to the rooms: in each client's order, once, and with the
effect that the answer names.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final

from ...core.ledger import Judgement, Ledger
from ...core.positions import Position
from .subject import body

__all__ = ("IN_DOUBT", "Asked", "Record", "Stream", "fingerprint")

Stream = tuple[str, str]
"""A room and an epoch."""

_MASK: Final = 2**64 - 1
_MOST_EVENTS: Final = 1 << 10
"""Events that one message may have pushed; leaves room for them between two messages of a client."""

_MOST_CONTRADICTIONS: Final = 20

_HUB: Final = "hub"

IN_DOUBT: Final = ("in_doubt",)
"""The answer to a copy where nobody can know whether the first one took effect."""


def fingerprint(text: str) -> int:
    """Return 64 bits that stand for a text in this process."""
    return hash(text) & _MASK


@dataclass(slots=True)
class Asked:
    """A message that a client sent.

    Attributes:
        session: Whose order it belongs to: a client's, from when it came until it forgot what it had sent.
        number: Its number among the client's messages.
        room: Where its events go.
        name: What they are called.
        count: How many events it pushes.
        size: Characters of each.
        has_effect: Whether the handler comes to its pushes.
        answer: Positions of the events, or the error's code; None while there is no answer.
    """

    session: str
    number: int
    room: str
    name: str
    count: int = 1
    size: int = 0
    has_effect: bool = True
    answer: tuple[str, ...] | None = None

    def seq(self, index: int) -> int:
        """Return the place of an event among all that its client asks for."""
        return self.number * _MOST_EVENTS + index


@dataclass(slots=True)
class Record:
    """Everything that all clients know.

    Attributes:
        outbound: The ledger of what came to clients.
        arrivals: Events that came, each as often as it came.
        contradictions: What cannot be, each with a line that says so.
        notices: Gap notices, by reason.
        recoveries: Answers to resumes, by whether everything was recovered.
    """

    outbound: Ledger = field(default_factory=Ledger)
    arrivals: int = 0
    contradictions: list[str] = field(default_factory=list)
    notices: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    recoveries: dict[bool, int] = field(default_factory=lambda: defaultdict(int))
    _asked: list[Asked] = field(default_factory=list)
    _origin: dict[int, tuple[Asked, int]] = field(default_factory=dict)
    _seen: dict[Stream, dict[int, int]] = field(default_factory=lambda: defaultdict(dict))

    def contradict(self, text: str) -> None:
        """Note what cannot be."""
        if len(self.contradictions) < _MOST_CONTRADICTIONS:
            self.contradictions.append(text)

    # ── Inbound ──

    def asks(self, asked: Asked) -> None:
        """Note a message before it is sent."""
        assert asked.count < _MOST_EVENTS
        self._asked.append(asked)
        for index in range(asked.count):
            self._origin[fingerprint(body(asked.name, index, asked.size))] = asked, index

    def answered(self, asked: Asked, answer: tuple[str, ...]) -> None:
        """Note an answer: positions as texts, or a single word that is an error's code."""
        if answer == IN_DOUBT and asked.answer is None:
            return
        if asked.answer is not None:
            if asked.answer != answer and _epochs(asked.answer) == _epochs(answer):
                self.contradict(f"{asked.name} was answered {asked.answer[:3]} first, then {answer[:3]}")
            return
        asked.answer = answer
        if len(_positions(answer)) != asked.count * asked.has_effect:
            self.contradict(f"{asked.name} asked for {asked.count} events and was answered {answer[:3]}")
        for index, at in enumerate(_positions(answer)):
            self._takes_effect(
                (asked.room, at.epoch), at.offset, fingerprint(body(asked.name, index, asked.size))
            )

    # ── Outbound ──

    def arrived(self, receiver: str, stream: Stream, offset: int, text: str) -> None:
        """Note an event that came to a client."""
        print_ = fingerprint(text)
        self.arrivals += 1
        self.outbound.arrived(receiver, stream, offset, print_)
        seen = self._seen[stream].setdefault(offset, print_)
        if seen != print_:
            self.contradict(f"{stream[0]} at {stream[1]}:{offset} is not the same event to everybody")

    def _takes_effect(self, stream: Stream, offset: int, print_: int) -> None:
        try:
            self.outbound.pushed(stream, offset, print_)
        except ValueError:
            self.contradict(f"{stream[0]} at {stream[1]}:{offset} was given to two pushes")

    # ── Judging ──

    def judge(self) -> tuple[Judgement, Judgement]:
        """Judge both directions; called once, when nothing more comes."""
        effects = self._effects()
        inbound = Ledger()
        for asked in self._asked:
            for index in range(asked.count):
                self._owe(inbound, asked, index, effects)
        for (room, epoch), offsets in self._seen.items():
            for offset in sorted(offsets):
                if (origin := self._origin.get(offsets[offset])) is not None:
                    asked, index = origin
                    stream = (asked.session, room, epoch)
                    inbound.arrived(_HUB, stream, asked.seq(index), offsets[offset])
        return self.outbound.judge(), inbound.judge()

    def _effects(self) -> dict[int, set[str]]:
        """Return the epochs in which each event took effect, with those that only their answers prove."""
        for asked in self._asked:
            for index, at in enumerate(_positions(asked.answer or ())):
                print_ = fingerprint(body(asked.name, index, asked.size))
                self._seen[asked.room, at.epoch].setdefault(at.offset, print_)
        effects: dict[int, set[str]] = defaultdict(set)
        for stream, offsets in self._seen.items():
            for offset, print_ in offsets.items():
                if print_ in self._origin:
                    self._takes_effect(stream, offset, print_)
                    effects[print_].add(stream[1])
        return effects

    @staticmethod
    def _owe(inbound: Ledger, asked: Asked, index: int, effects: dict[int, set[str]]) -> None:
        if not asked.has_effect:
            return
        print_, seq = fingerprint(body(asked.name, index, asked.size)), asked.seq(index)
        # Another epoch is another life of the server, which knows nothing of what it did before.
        for epoch in effects.get(print_) or {""}:
            stream = (asked.session, asked.room, epoch)
            inbound.expect(_HUB, stream, after=seq - 1, until=seq)
            inbound.pushed(stream, seq, print_)
            if not epoch:
                inbound.doubted(stream, [(seq, seq)])


def _positions(answer: tuple[str, ...]) -> list[Position]:
    return [Position.parse(text) for text in answer if ":" in text]


def _epochs(answer: tuple[str, ...]) -> set[str]:
    return {text.partition(":")[0] for text in answer}
