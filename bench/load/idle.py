"""The load of silence: clients that only are there, and what each of them costs the server."""

from __future__ import annotations

from dataclasses import dataclass

from bench.load.carrier import LoopCarrier
from bench.load.stream import Follower, Stream
from bench.process import Server, memory_of
from bench.programs import Program
from bench.sample import Sample

__all__ = ("Crowd", "Idle")

_WARM = 50


class Crowd:
    """Clients that send nothing."""

    def __init__(self) -> None:
        self.members: list[Follower] = []
        # On the event loop, which answers pings while the server is being asked.
        self._carrier = LoopCarrier()

    async def gather(self, server: Server, connections: int, path: str) -> None:
        """Connect them."""
        stream = Stream(0)
        self.members = [Follower(stream) for _ in range(connections)]
        await self._carrier.connect(server.ports, [path] * connections, self.members)

    def leave(self) -> None:
        """Let them go."""
        self._carrier.close()


@dataclass(frozen=True, slots=True)
class Idle:
    """So many connections that send nothing and get nothing."""

    connections: int
    program: Program = Program.IDLE

    async def run(self, server: Server, *, seconds: float) -> Sample:
        """Do one round, on a server that is used for no other."""
        del seconds
        sample = Sample()
        path = f"/{self.program}"
        # What the first connections load or cache belongs to the server, not to a connection.
        warm = Crowd()
        await warm.gather(server, _WARM, path)
        warm.leave()
        await server.settle()
        if server.answers:
            await server.ask("gc")
        before, cpu_before = memory_of(server.pid), server.usage().cpu_s
        crowd = Crowd()
        await crowd.gather(server, self.connections, path)
        await server.settle()
        sample.figures["connect_s"] = (server.usage().cpu_s - cpu_before) / self.connections
        figures = sample.figures
        if server.answers:
            collection = await server.ask("gc")
            figures["collection_s"] = collection["collection_s"]
            figures["objects"] = collection["objects"] / self.connections
        after = memory_of(server.pid)
        figures["own"] = (after["own"] - before["own"]) / self.connections
        figures["resident"] = (after["resident"] - before["resident"]) / self.connections
        if ended := sum(member.closed is not None for member in crowd.members):
            sample.faults["connections ended"] = ended
        crowd.leave()
        await server.settle()
        return sample
