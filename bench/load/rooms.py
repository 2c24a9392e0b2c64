"""The load of many rooms: each member is in several, and every frame is checked for its room and its place there."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.frames import CLOSE, PING, client_frame, read_head
from bench.load.carrier import Carrier, LoopCarrier
from bench.load.pace import Meter
from bench.load.pump import PumpCarrier
from bench.load.stream import Stream
from bench.process import Server
from bench.programs import Program
from bench.sample import Sample
from roomful.core.ledger import FAULTS, Ledger, find_marks, mark

__all__ = ("Rooms", "Seat", "rooms_of")

_GRACE_S = 10.0
_STRIDE = 617
"""Coprime to the number of rooms, so that the rooms have their turns in an order that looks like none."""
_MAX_MESSAGES = 200_000


def rooms_of(member: int, *, rooms: int, each: int) -> list[int]:
    """Return the rooms of a member: all different, and every room gets equally many members.

    Members of one thousand share one pattern; the next thousand has another, so that few pairs of members share more
    than one room.
    """
    step = rooms // each + 37 * (member // rooms)
    return [(member + step * k) % rooms for k in range(each)]


class Seat:
    """One member of several rooms.

    Args:
        posted: The payloads that were posted to each room, in order.

    Attributes:
        got: How many frames it has got.
        odd: Payloads that were not the next of their room, with all that came after the first of them.
    """

    is_slow = True

    def __init__(self, posted: Sequence[list[bytes]]) -> None:
        self._posted = posted
        self._next: dict[bytes, int] = {}
        self._rest = b""
        self.got = 0
        self.odd: list[bytes] = []
        self.closed = False
        self.at = 0
        self.pong: Callable[[bytes], None] | None = None
        self.after_frame: Callable[[bytes], None] | None = None

    def feed(self, data: bytes) -> None:
        """Take what was read."""
        if self._rest:
            data = self._rest + data
        start = 0
        while (head := read_head(data, start)) is not None and head.end <= len(data):
            payload = data[head.payload_at : head.end]
            start = head.end
            if head.opcode < CLOSE:
                self._take(payload)
            elif head.opcode == PING and self.pong is not None:
                self.pong(payload)
        self._rest = data[start:]

    def ended(self) -> None:
        """Know that the socket has ended."""
        self.closed = True

    def got_in(self, room: int) -> list[bytes]:
        """Return what it has got of a room before anything odd."""
        return self._posted[room][: self._next.get(b"%04d" % room, 0)]

    def _take(self, payload: bytes) -> None:
        self.got += 1
        room = payload[:4]
        index = self._next.get(room, 0)
        try:
            right = self._posted[int(room)][index] == payload
        except (ValueError, IndexError):
            right = False
        if right and not self.odd:
            self._next[room] = index + 1
        else:
            self.odd.append(payload)
        if self.after_frame is not None:
            self.after_frame(payload)


@dataclass(frozen=True, slots=True)
class Rooms:
    """Many rooms, with `under_way` messages under way over all of them at any time.

    A room's message is posted by one of its members; when it has come back there, the next room has its turn.
    """

    rooms: int
    members: int
    each: int
    under_way: int
    size: int = 128

    @property
    def program(self) -> Program:
        """What the server must run."""
        return Program.ROOMS

    async def run(self, server: Server, *, seconds: float) -> Sample:
        """Do one round."""
        sample = Sample()
        carrier: Carrier = PumpCarrier(Stream(0x1000)) if PumpCarrier.is_there() else LoopCarrier()
        house = _House(self, carrier)
        try:
            await carrier.connect(server.ports, house.paths, house.seats)
            await server.settle()
            meter = Meter(server, carrier)
            await house.use(seconds)
            meter.stop(sum(seat.got for seat in house.seats), sample)
            house.judge(sample)
        finally:
            carrier.close()
            await server.settle()
        return sample


class _House:
    """All rooms of one round."""

    def __init__(self, plan: Rooms, carrier: Carrier) -> None:
        self._plan = plan
        self._carrier = carrier
        self._posted: list[list[bytes]] = [[] for _ in range(plan.rooms)]
        self._digests: list[list[int]] = [[] for _ in range(plan.rooms)]
        self._count = 0
        self._deadline = 0.0
        places = [rooms_of(member, rooms=plan.rooms, each=plan.each) for member in range(plan.members)]
        self._places = places
        self.paths = ["/rooms?rooms=" + ",".join(f"{room:04}" for room in rooms) for rooms in places]
        self.seats = [Seat(self._posted) for _ in places]
        for room, seat in enumerate(self.seats[: plan.rooms]):
            # The first thousand members post, each to the room of its own number.
            seat.after_frame = self._came_back(b"%04d" % room)

    async def use(self, seconds: float) -> None:
        """Post for a time, and wait for the last."""
        self._deadline = time.perf_counter() + seconds
        for _ in range(self._plan.under_way):
            self._post()
        await self._carrier.run(
            lambda: (
                time.perf_counter() < self._deadline
                or (not self._is_complete() and time.perf_counter() < self._deadline + _GRACE_S)
            )
        )

    def judge(self, sample: Sample) -> None:
        """Write into a sample what was wrong; seats that got all and nothing odd need no ledger."""
        faults = sample.faults
        for seat, rooms in zip(self.seats, self._places, strict=True):
            if seat.closed:
                faults["connections ended"] = faults.get("connections ended", 0) + 1
            if not seat.odd and seat.got == sum(len(self._posted[room]) for room in rooms):
                continue
            for name, count in self._judge_seat(seat, rooms).items():
                faults[name] = faults.get(name, 0) + count

    def _judge_seat(self, seat: Seat, rooms: Sequence[int]) -> dict[str, int]:
        ledger = Ledger()
        for room in rooms:
            ledger.expect("seat", f"{room:04}")
            for number, digest in enumerate(self._digests[room], 1):
                ledger.pushed(f"{room:04}", number, digest)
            for payload in seat.got_in(room):
                self._arrived(ledger, payload)
        for payload in seat.odd:
            self._arrived(ledger, payload)
        return {verdict.value: n for verdict, n in ledger.judge().counts.items() if n and verdict in FAULTS}

    @staticmethod
    def _arrived(ledger: Ledger, payload: bytes) -> None:
        for found in find_marks(payload):
            ledger.arrived("seat", found.stream, found.seq, found.digest)

    def _is_complete(self) -> bool:
        return sum(seat.got for seat in self.seats) >= self._count * (
            self._plan.members * self._plan.each // self._plan.rooms
        )

    def _post(self) -> None:
        room = self._count * _STRIDE % self._plan.rooms
        self._count += 1
        digests = self._digests[room]
        marked = mark("b", f"{room:04}", len(digests) + 1, 0.0, self._plan.size - 4)
        payload = b"%04d" % room + marked.data
        self._posted[room].append(payload)
        digests.append(marked.digest)
        self._carrier.write(room, client_frame(payload))

    def _came_back(self, room: bytes) -> Callable[[bytes], None]:
        def go_on(payload: bytes) -> None:
            if (
                payload.startswith(room)
                and time.perf_counter() < self._deadline
                and self._count < _MAX_MESSAGES
            ):
                self._post()

        return go_on
