"""The load of a clock: messages at fixed times, and how long after its intended time each is at every member.

The times do not wait for the server, so that a stall is counted for all that should have been sent in it.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.load.carrier import LogEntry
from bench.load.fanout import Fanout
from bench.load.nodes import Nodes
from bench.load.pace import Meter
from bench.load.room import Room
from bench.load.stream import Stream
from bench.process import Server
from bench.programs import Program
from bench.sample import Sample

__all__ = ("Latency", "histogram", "percentile")

_BUSY = b"0000"
"""The room in which is pushed, where there are several."""
_WARM_S = 0.3
_LONGER = 3
"""How much longer than others this load measures: a percentile of 99.9 needs many messages."""
_MAX_BEHIND_BYTES = 4 << 20
_MAX_READS = 3_000_000
_STEP_NS = 10_000
_STEPS = 200_000
_LATE_S = 0.001
_LOOK_S = 0.02


def histogram(
    log: Iterable[LogEntry], stream: Stream, intended_ns: Sequence[int], *, members: range, first: int
) -> array[int]:
    """Return how many deliveries took how long, in steps of 10 µs; the last step has all that took longer.

    Args:
        log: The reads of all members.
        stream: What they got.
        intended_ns: When each frame was to be sent.
        members: Those of the log whose deliveries count.
        first: The first frame that counts.
    """
    counts = array("q", bytes(8 * _STEPS))
    seen = [first] * members.stop
    for ns, index, at in log:
        if index not in members:
            continue
        upto = stream.frames_before(at)
        for frame in range(seen[index], upto):
            step = (ns - intended_ns[frame]) // _STEP_NS
            counts[step if step < _STEPS else _STEPS - 1] += 1
        seen[index] = max(seen[index], upto)
    return counts


def percentile(counts: Sequence[int], share: float) -> float:
    """Return the time in seconds within which this share of the deliveries was there."""
    wanted = share * sum(counts)
    total = 0
    for step, count in enumerate(counts):
        total += count
        if total >= wanted:
            return (step + 1) * _STEP_NS / 1e9
    return _STEPS * _STEP_NS / 1e9


@dataclass(frozen=True, slots=True)
class Latency:
    """A room in which `rate` deliveries a second are due, beside connections that only are there.

    Attributes:
        members: Of the room.
        idle: Connections in another room, in which nothing is pushed.
        rate: Deliveries a second; set by a calibration when it is None.
        nodes: Over how many nodes the members are spread; the first of them posts, and with two those of the other node
            are the ones that count.
    """

    members: int
    idle: int = 0
    rate: float | None = None
    size: int = 128
    nodes: int = 1

    @property
    def program(self) -> Program:
        """What the server must run."""
        if self.nodes > 1:
            return Program.NODES
        # One room alone is also done by those who know no others, such as the kernel's floor.
        return Program.ROOMS if self.idle else Program.FANOUT

    @property
    def at_full_rate(self) -> Fanout | Nodes:
        """The load that finds the greatest rate."""
        if self.nodes == 1:
            return Fanout(members=self.members, under_way=16, room=_BUSY if self.idle else None)
        return Nodes(members=self.members, under_way=1)

    async def run(self, server: Server, *, seconds: float) -> Sample:
        """Do one round."""
        assert self.rate is not None  # set by the calibration
        sample = Sample()
        has_rooms = self.program is Program.ROOMS
        room = Room(server, size=self.size, prefix=_BUSY if has_rooms else b"", log_size=_MAX_READS)
        try:
            path = f"/rooms?rooms={_BUSY.decode()}" if has_rooms else f"/{self.program}"
            await room.fill(self.members, path, idle=self.idle, idle_path="/rooms?rooms=0001")
            await server.settle()
            await self._measure(server, room, sample, _WARM_S + seconds * _LONGER, self.rate / self.members)
            room.judge(sample)
        finally:
            room.leave()
            await server.settle()
        return sample

    async def _measure(
        self, server: Server, room: Room, sample: Sample, seconds: float, messages_per_s: float
    ) -> None:
        began_ns = time.perf_counter_ns() + 1_000_000
        interval_ns = 1e9 / messages_per_s
        total = int(seconds * messages_per_s)
        intended = [began_ns + int(number * interval_ns) for number in range(total)]
        late: list[int] = []
        next_look = 0

        def post_what_is_due() -> bool:
            nonlocal next_look
            now = time.perf_counter_ns()
            due = min(int((now - began_ns) / interval_ns) + 1, total) if now >= began_ns else 0
            if due > len(room.posted):
                late.append(now - intended[len(room.posted)])
                room.post(due - len(room.posted))
            if now > next_look:
                next_look = now + int(_LOOK_S * 1e9)
                if self._is_behind(room):
                    sample.faults["the server did not keep up"] = 1
                    return False
            return len(room.posted) < total

        meter = Meter(server, room.carrier)
        await room.carrier.run(post_what_is_due, every_s=0.0)
        if not await room.become_level():
            sample.faults["stalled"] = 1
        meter.stop(len(room.posted) * self.members, sample)
        first = int(_WARM_S * messages_per_s)
        counting = range(0 if self.nodes == 1 else self.members // self.nodes, self.members)
        counts = histogram(room.carrier.log(), room.stream, intended, members=counting, first=first)
        for name, share in (("p50", 0.5), ("p99", 0.99), ("p999", 0.999)):
            sample.figures[name] = percentile(counts, share)
        late.sort()
        sample.figures["late_p99"] = late[int(len(late) * 0.99)] / 1e9 if late else 0.0
        sample.figures["offered"] = messages_per_s * self.members
        if sample.figures["late_p99"] > max(_LATE_S, sample.figures["p99"] / 4):
            sample.faults["the load was late"] = 1

    def _is_behind(self, room: Room) -> bool:
        # The poster has what the server sent first; what it lacks, the server has not sent to anybody.
        room.carrier.sync()
        owed = (len(room.posted) - room.poster.frames) * self.size
        return owed > _MAX_BEHIND_BYTES
