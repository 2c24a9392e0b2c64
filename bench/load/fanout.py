"""The load of a room: one member posts, with so many messages under way, and every member checks what it gets."""

from __future__ import annotations

import time
from dataclasses import dataclass

from bench.load.pace import Meter
from bench.load.room import Room
from bench.process import Server
from bench.programs import Program
from bench.sample import Sample

__all__ = ("Fanout",)

_LOOK_S = 0.02
_MAX_BEHIND_BYTES = 4 << 20
_MAX_MESSAGES = 200_000


@dataclass(frozen=True, slots=True)
class Fanout:
    """A room whose poster has `under_way` messages under way at any time.

    It posts the next as soon as one of its own has come back, for a given time. With `room`, it is one of several.
    """

    members: int
    under_way: int
    size: int = 128
    reply: bool = False
    room: bytes | None = None

    @property
    def program(self) -> Program:
        """What the server must run."""
        if self.room is not None:
            return Program.ROOMS
        return Program.REPLY if self.reply else Program.FANOUT

    async def run(self, server: Server, *, seconds: float) -> Sample:
        """Do one round."""
        sample = Sample()
        room = Room(server, size=self.size, prefix=self.room or b"", reply=b"ok" if self.reply else None)
        path = f"/{self.program}" if self.room is None else f"/rooms?rooms={self.room.decode()}"
        try:
            await room.fill(self.members, path)
            room.post(self.under_way)
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

    async def _measure(self, server: Server, room: Room, sample: Sample, seconds: float) -> None:
        before = len(room.posted)
        most_behind = 0
        next_look = 0.0
        deadline = time.perf_counter() + seconds

        def go_on() -> None:
            free = self.under_way - (len(room.posted) - room.poster.frames)
            if free > 0 and time.perf_counter() < deadline and len(room.posted) < _MAX_MESSAGES:
                room.post(free)

        def look() -> bool:
            nonlocal most_behind, next_look
            now = time.perf_counter()
            if now >= next_look:
                most_behind = max(most_behind, room.carrier.behind())
                next_look = now + _LOOK_S
            return now < deadline

        room.poster.after_feed = go_on
        meter = Meter(server, room.carrier)
        room.post(self.under_way)
        await room.carrier.run(look)
        in_time = await room.become_level()
        meter.stop((len(room.posted) - before) * self.members, sample)
        if not in_time:
            sample.faults["stalled"] = 1
        if most_behind > _MAX_BEHIND_BYTES:
            sample.faults["the load did not keep up"] = 1
        sample.figures["behind"] = most_behind
