"""The load of a slow reader: one member of a room never reads, and the others must not notice."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from itertools import pairwise

from bench.frames import CLOSE, read_head
from bench.load.carrier import open_sockets
from bench.load.room import Room
from bench.process import Server, memory_of
from bench.programs import Program
from bench.sample import Sample

__all__ = ("SlowReader", "close_code_in", "socket_memory")

_LIMIT_S = 45.0
_STALLED_S = 4.0
_LOOK_S = 0.1
_DRAIN_S = 1.0


def socket_memory(listing: str, port: int, peer_port: int) -> int | None:
    """Return the bytes that the kernel holds to be sent on one connection, from what `ss -tmnH` lists.

    It is `w` of `skmem` (`sk_wmem_queued`): the payload with the kernel's own overhead.
    """
    lines = listing.splitlines()
    for line, memory in pairwise(lines):
        fields = line.split()
        if len(fields) >= 5 and fields[3].endswith(f":{port}") and fields[4].endswith(f":{peer_port}"):
            _, found, rest = (line + memory).partition("skmem:(")
            values = rest.partition(")")[0].split(",")
            return next((int(value[1:]) for value in values if found and value[0] == "w"), None)
    return None


def close_code_in(data: bytes) -> int | None:
    """Return the code of the close frame at the end of what a server sent, or None when there is none."""
    start = 0
    while (head := read_head(data, start)) is not None and head.end <= len(data):
        if head.opcode == CLOSE:
            return int.from_bytes(data[head.payload_at : head.payload_at + 2], "big") or 1005
        start = head.end
    return None


@dataclass(frozen=True, slots=True)
class SlowReader:
    """A room of `members`, of which one never reads, and so many messages, `under_way` at a time."""

    members: int
    messages: int
    size: int
    under_way: int = 4

    @property
    def program(self) -> Program:
        """What the server must run."""
        return Program.FANOUT

    async def run(self, server: Server, *, seconds: float) -> Sample:
        """Do one round, on a server that is used for no other."""
        del seconds
        sample = Sample()
        others = self.members - 1
        room = Room(server, size=self.size, capacity=self.messages * (self.size + 16))
        stuck: socket.socket | None = None
        try:
            await room.fill(others, "/fanout")
            [(stuck, _)] = open_sockets(server.ports, ["/fanout"])
            await server.settle()
            sample.figures["before"] = memory_of(server.pid)["resident"]
            began = time.perf_counter()
            await self._push(server, room, stuck, sample)
            sample.figures["wall_s"] = time.perf_counter() - began
            room.carrier.sync()
            got = sum(member.frames for member in room.members)
            sample.figures["missing"] = (others * self.messages - got) / others
            sample.figures["peak"] = memory_of(server.pid)["peak"]
            sample.remarks.append(f"the stuck one {_fate(stuck)}")
            if got == others * self.messages:
                room.judge(sample)
        finally:
            if stuck is not None:
                stuck.close()
            room.leave()
        return sample

    async def _push(self, server: Server, room: Room, stuck: socket.socket, sample: Sample) -> None:
        peer_port: int = stuck.getsockname()[1]
        deadline = time.perf_counter() + _LIMIT_S
        next_look = 0.0
        held = 0
        seen, seen_at = 0, time.perf_counter()

        def go_on() -> None:
            left = self.messages - len(room.posted)
            free = self.under_way - (len(room.posted) - room.poster.frames)
            if min(left, free) > 0:
                room.post(min(left, free))

        def look() -> bool:
            nonlocal next_look, held, seen, seen_at
            now = time.perf_counter()
            room.carrier.sync()
            if (got := sum(member.at for member in room.members)) > seen:
                seen, seen_at = got, now
            if now > next_look:
                held = max(held, _kernel_bytes(server.port, peer_port) or 0)
                next_look = now + _LOOK_S
            return (
                now < min(deadline, seen_at + _STALLED_S)
                and server.is_running
                and not (len(room.posted) == self.messages and room.is_level)
            )

        room.poster.after_feed = go_on
        room.post(self.under_way)
        await room.carrier.run(look, every_s=0.01)
        if held:
            sample.figures["kernel"] = held


def _kernel_bytes(port: int, peer_port: int) -> int | None:
    command = shutil.which("ss")
    if command is None:
        return None
    listed = subprocess.run(
        [command, "-tmnH", f"sport = :{port} and dport = :{peer_port}"],
        capture_output=True,
        text=True,
        check=False,
    )
    return socket_memory(listed.stdout, port, peer_port)


def _fate(stuck: socket.socket) -> str:
    """Read what the stuck one was sent, and say how its connection stands."""
    data = bytearray()
    stuck.settimeout(_DRAIN_S)
    state = "is still connected"
    with contextlib.suppress(TimeoutError):
        try:
            while chunk := stuck.recv(1 << 18):
                data += chunk
            state = "was closed"
        except ConnectionError:
            state = "was reset"
    code = close_code_in(bytes(data))
    return state if code is None else f"{state} with code {code}"
