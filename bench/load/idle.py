"""The load of silence: clients that only are there, and what each of them costs the server."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from bench.load.client import Client, connect_all
from bench.load.stream import Stream
from bench.process import Server, memory_of
from bench.programs import Program
from bench.sample import Sample

__all__ = ("Idle", "crowd")

_WARM = 50


async def crowd(server: Server, connections: int, path: str) -> list[Client]:
    """Connect clients that send nothing."""
    stream = Stream()
    clients: list[Client] = []

    def ready(number: int, transport: asyncio.Transport) -> Client:
        del number
        clients.append(Client(transport, stream))
        return clients[-1]

    await connect_all(server.port, [path] * connections, ready)
    return clients


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
        for client in await crowd(server, _WARM, path):
            client.transport.abort()
        await server.settle()
        if server.answers:
            await server.ask("gc")
        before, cpu_before = memory_of(server.pid), server.usage().cpu_s
        clients = await crowd(server, self.connections, path)
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
        if ended := sum(client.lost for client in clients):
            sample.faults["connections ended"] = ended
        for client in clients:
            client.transport.abort()
        await server.settle()
        return sample
