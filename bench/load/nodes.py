"""The load of two nodes: some members of one room post a message each, and again when every member has got those.

Half of the members are on each node; those that post are all on the first, so that the other one only receives.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from bench.load.dialect import DIALECTS
from bench.load.pace import Meter
from bench.load.room import Room
from bench.pair import Pair
from bench.process import Server, cpu_of
from bench.programs import Program
from bench.sample import Sample

__all__ = ("Nodes",)

_LOOK_S = 0.0002
_LEAST = 3


@dataclass(frozen=True, slots=True)
class Nodes:
    """A room over a pair of servers.

    Attributes:
        members: Of both nodes together.
        under_way: How many of them post at once.
        size: Bytes of a message.
    """

    members: int
    under_way: int
    size: int = 128

    @property
    def program(self) -> Program:
        """What the servers must run."""
        return Program.NODES

    async def run(self, server: Server, *, seconds: float) -> Sample:
        """Do one round."""
        assert isinstance(server, Pair)
        sample = Sample()
        dialect = DIALECTS[server.dialect]
        room = Room(server, size=self.size, dialect=dialect)
        try:
            await room.fill(self.members, dialect.path or f"/{self.program}")
            # Who owns its wire is accepted before it is a member, and not told when it is one.
            await server.settle()
            self._post(room)
            if not await room.become_level():
                sample.faults["stalled"] = 1
                return sample
            await server.settle()
            await self._measure(server, room, sample, seconds)
            room.judge(sample)
        finally:
            room.leave()
            await server.settle()
        return sample

    def _post(self, room: Room) -> None:
        for poster in range(self.under_way):
            room.post(1, poster=poster)

    async def _measure(self, server: Pair, room: Room, sample: Sample, seconds: float) -> None:
        pids = (server.pid, server.other.pid, server.redis.pid)
        before = [cpu_of(pid) for pid in pids]
        meter = Meter(server, room.carrier)
        first = len(room.posted)
        least = first + _LEAST * self.under_way
        deadline = time.perf_counter() + seconds

        def go_on() -> bool:
            if not room.is_level:
                return True
            if time.perf_counter() >= deadline and len(room.posted) >= least:
                return False
            self._post(room)
            return True

        self._post(room)
        await room.carrier.run(go_on, every_s=_LOOK_S)
        if not await room.become_level():
            sample.faults["stalled"] = 1
        messages = len(room.posted) - first
        meter.stop(messages * self.members, sample)
        used = [cpu_of(pid) - at for pid, at in zip(pids, before, strict=True)]
        share = messages * self.members / 2
        sample.figures["pushing_s"] = used[0] / share
        sample.figures["receiving_s"] = used[1] / share
        sample.figures["message_s"] = used[1] / messages
        sample.figures["redis_s"] = used[2] / messages
