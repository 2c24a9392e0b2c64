"""The seats of a client: where it stands in each room, as `roomful.js` keeps it, and what it is owed there.

Pure: texts go in, and the record learns what they mean. It believes what the server says and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

import msgspec

from ...core.positions import Position
from .record import Record

__all__ = ("Seat", "Seats")

Reply: TypeAlias = Callable[[int, tuple[str, ...]], None]
"""Takes the number of a message and its answer."""


class _Frame(msgspec.Struct):
    """A text of the server's."""

    type: str = ""
    data: object = None
    room: str = ""
    pos: str = ""
    recovered: bool = False
    epoch: str = ""
    ranges: list[tuple[int, int]] | None = None
    reason: str = ""
    reply: str | int | None = None
    error: dict[str, str] | None = None
    id: str = ""


_SKIPPING: Final = ("drop:", "latest:")

_decode: Final = msgspec.json.Decoder(_Frame).decode


@dataclass(slots=True)
class Seat:
    """A client's place in one room.

    Attributes:
        receiver: What the ledger calls whoever sits there.
        at: The last position that came; None before the first.
        resumes: Whether the server was asked to go on from `at`.
        is_in: Whether the server has said that the client is a member.
        is_wanted: Whether the client means to be in the room.
        told: The highest offset of the present epoch that a notice has given up.
        untold: Whether a notice without ranges came, whose end the next position tells.
    """

    receiver: str
    at: Position | None = None
    resumes: bool = False
    is_in: bool = False
    is_wanted: bool = True
    told: int = 0
    untold: bool = False


class Seats:
    """All rooms of one client.

    Args:
        client: Its number.
        record: Learns everything.
        replied: Called with each reply.

    Attributes:
        rooms: The seats by room, also those that were left.
        memory: What the server calls what it remembers of this client, on the present connection.
    """

    def __init__(self, client: int, record: Record, replied: Reply) -> None:
        self.rooms: dict[str, Seat] = {}
        self.memory: str | None = None
        self._client = client
        self._record = record
        self._replied = replied
        self._sat = 0

    @property
    def wanted(self) -> list[str]:
        """The rooms that the client means to be in."""
        return [room for room, seat in self.rooms.items() if seat.is_wanted]

    @property
    def is_seated(self) -> bool:
        """Whether it is a member wherever it wants to be."""
        return all(seat.is_in for seat in self.rooms.values() if seat.is_wanted)

    # ── What the client does ──

    def take(self, room: str, *, resume: bool = False) -> Position | None:
        """Want a seat in a room: the old one, from where it stood, or a new one. Returns the position to join from."""
        seat = self.rooms.get(room)
        if seat is None or not resume or seat.at is None:
            self._sat += 1
            self.rooms[room] = seat = Seat(f"{self._client}#{self._sat}")
        seat.is_wanted = True
        seat.resumes = False
        self._resume(room, seat)
        return seat.at

    def dial(self) -> dict[str, str]:
        """Return where every wanted room stands, before a connection that resumes there is made."""
        self.memory = None
        for room in self.wanted:
            seat = self.rooms[room]
            seat.is_in = seat.untold = False
            self._resume(room, seat)
        return {room: str(self.rooms[room].at) for room in self.wanted if self.rooms[room].at is not None}

    def has_heard(self, room: str, at: Position) -> bool:
        """Return whether everything up to a position has come or was told."""
        seat = self.rooms[room]
        return seat.at is not None and (
            seat.at.epoch != at.epoch or at.offset <= max(seat.at.offset, seat.told)
        )

    def left(self, room: str, until: Position) -> None:
        """Know that the client is no member any more, and that it was when the event at `until` was pushed."""
        seat = self.rooms[room]
        was_in = seat.is_in
        seat.is_in = seat.is_wanted = False
        if not was_in or seat.at is None or seat.at.epoch != until.epoch:
            self._record.contradict(f"{seat.receiver} left {room} at {until}, and stood at {seat.at}")
            return
        # Others may have pushed between that event and its leaving.
        self._record.outbound.left(
            seat.receiver, (room, until.epoch), until=max(until.offset, seat.at.offset)
        )

    def abandon(self) -> None:
        """Forget everything, in the middle of it."""
        for room in self.wanted:
            seat = self.rooms.pop(room)
            if seat.at is not None:
                self._record.outbound.ended(seat.receiver, (room, seat.at.epoch))

    def replied(self, room: str, answer: tuple[str, ...]) -> None:
        """See that a reply stands behind what its handler pushed, where no policy may have skipped that."""
        seat = self.rooms.get(room)
        if seat is None or not seat.is_in or seat.at is None or room.startswith(_SKIPPING):
            return
        for text in answer:
            at = Position.parse(text) if ":" in text else seat.at
            if at.epoch == seat.at.epoch and at.offset > seat.at.offset:
                self._record.contradict(
                    f"a reply overtook {room} at {at}; {seat.receiver} stood at {seat.at}"
                )

    def _resume(self, room: str, seat: Seat) -> None:
        if seat.at is not None:
            seat.resumes = True
            self._record.outbound.expect(seat.receiver, (room, seat.at.epoch), after=seat.at.offset)

    # ── What the server says ──

    def received(self, text: bytes) -> None:
        """Take a text of the server's."""
        frame = _decode(text)
        if frame.reply is not None:
            self._reply(frame)
        elif frame.type == "e":
            self._event(frame)
        elif frame.type == "roomful.joined":
            self._joined(frame)
        elif frame.type == "roomful.gap":
            self._gap(frame)
        elif frame.type == "roomful.position":
            self._position(frame)
        elif frame.type == "roomful.memory":
            self.memory = frame.id
        elif frame.type == "roomful.error":
            self._record.contradict(f"client {self._client} was told an error: {frame.error}")

    def _event(self, frame: _Frame) -> None:
        seat, at = self._seat(frame.room), Position.parse(frame.pos)
        self._tell(frame.room, seat, at, last=at.offset - 1)
        self._record.arrived(seat.receiver, (frame.room, at.epoch), at.offset, str(frame.data))
        self._stand(frame.room, seat, at)

    def _position(self, frame: _Frame) -> None:
        seat, at = self._seat(frame.room), Position.parse(frame.pos)
        self._tell(frame.room, seat, at, last=at.offset - 1)
        self._record.outbound.excluded(seat.receiver, (frame.room, at.epoch), [(at.offset, at.offset)])
        self._stand(frame.room, seat, at)

    def _joined(self, frame: _Frame) -> None:
        seat, at = self._seat(frame.room), Position.parse(frame.pos)
        self._tell(frame.room, seat, at, last=at.offset)
        if seat.resumes:
            self._record.recoveries[frame.recovered] += 1
        elif frame.recovered:
            self._record.contradict(f"{seat.receiver} was recovered in {frame.room} and had not asked for it")
        if seat.at is None:
            self._record.outbound.expect(seat.receiver, (frame.room, at.epoch), after=at.offset)
        self._stand(frame.room, seat, at)
        seat.is_in = True
        seat.resumes = False

    def _stand(self, room: str, seat: Seat, at: Position) -> None:
        if seat.at is not None and seat.at.epoch != at.epoch:
            # The new numbering begins here; what is missing of the old one must have been told.
            self._record.outbound.expect(seat.receiver, (room, at.epoch), after=at.offset)
            seat.told = 0
        seat.at = at

    def _gap(self, frame: _Frame) -> None:
        self._record.notices[frame.reason] += 1
        seat = self._seat(frame.room)
        if frame.ranges is None:
            seat.untold = True
        else:
            if seat.at is not None and frame.epoch == seat.at.epoch:
                seat.told = max((seat.told, *(last for _, last in frame.ranges)))
            self._told(seat, (frame.room, frame.epoch), frame.ranges)

    def _tell(self, room: str, seat: Seat, at: Position, *, last: int) -> None:
        """Give a notice without ranges its end: whatever lies between the last position and what has come now."""
        if not seat.untold:
            return
        seat.untold = False
        if seat.at is None:
            return
        same = seat.at.epoch == at.epoch
        self._told(seat, (room, seat.at.epoch), [(seat.at.offset + 1, last if same else None)])

    def _told(self, seat: Seat, stream: tuple[str, str], ranges: Iterable[tuple[int, int | None]]) -> None:
        self._record.outbound.told(
            seat.receiver, stream, [(first, last) for first, last in ranges if last is None or first <= last]
        )

    def _seat(self, room: str) -> Seat:
        seat = self.rooms.get(room)
        if seat is None:
            self._record.contradict(f"client {self._client} got something of {room}, where it never was")
            seat = self.rooms[room] = Seat(f"{self._client}#never", is_wanted=False)
        return seat

    def _reply(self, frame: _Frame) -> None:
        if not isinstance(frame.reply, str):
            self._record.contradict(f"client {self._client} got a reply to {frame.reply!r}")
            return
        number = int(frame.reply.rpartition(".")[2])
        if frame.error is not None:
            text = frame.error.get("message", "") if frame.error.get("code") == "planned" else ""
            self._replied(number, tuple(text.split(",")) if text else (frame.error.get("code", "?"),))
        elif isinstance(frame.data, list):
            self._replied(number, tuple(map(str, frame.data)))
        else:
            self._replied(number, ())
