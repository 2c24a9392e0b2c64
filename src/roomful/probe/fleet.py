"""All connections of a trial: opened in turn, greeted, closed.

A fleet never reconnects by itself, and everything that it opened it closes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import randrange

from roomful.probe.adapter import Adapter
from roomful.probe.connection import Connection
from roomful.probe.errors import Unreachable
from roomful.probe.opening import open_connection
from roomful.probe.target import Target

__all__ = ("Fleet",)

# Handshakes under way at once: below the smallest usual accept backlog (128), so that opening is no load test.
_AT_ONCE = 50
_GREETING_S = 5.0


class Fleet:
    """The open connections, by client number."""

    __slots__ = ("adapter", "connections", "max_bytes", "target")

    def __init__(self, target: Target, adapter: Adapter, *, max_bytes: int) -> None:
        self.target: Target = target
        self.adapter: Adapter = adapter
        self.max_bytes: int = max_bytes
        self.connections: list[Connection] = []

    @property
    def whole(self) -> bool:
        """Whether all connections are open."""
        return all(connection.end is None for connection in self.connections)

    async def open(self, clients: int) -> Sequence[Connection]:
        """Open connections until there are `clients`, or close down to it; return the connections.

        Raises:
            Unreachable: one of them could not be opened; those that could stay open.
        """
        self.shrink(clients)
        key_byte = self.connections[0].key_byte if self.connections else randrange(1, 256)
        while len(self.connections) < clients:
            numbers = range(len(self.connections), min(clients, len(self.connections) + _AT_ONCE))
            results = await asyncio.gather(
                *(self._open_one(number, key_byte) for number in numbers), return_exceptions=True
            )
            opened = [result for result in results if isinstance(result, Connection)]
            failed = [result for result in results if isinstance(result, BaseException)]
            if failed:
                for connection in opened:
                    connection.abort()
                raise failed[0]
            self.connections.extend(opened)
        return self.connections

    def shrink(self, clients: int) -> int:
        """Close connections until there are at most `clients`; return how many were closed."""
        gone = self.connections[clients:]
        del self.connections[clients:]
        for connection in gone:
            connection.close()
            connection.abort()
        return len(gone)

    async def close(self, *, timeout_s: float = 1.0) -> None:
        """Close all connections, at first politely."""
        connections, self.connections = self.connections, []
        for connection in connections:
            connection.close()
        deadline = asyncio.get_running_loop().time() + timeout_s
        while any(each.end is None for each in connections):  # many ends, and only here
            if asyncio.get_running_loop().time() > deadline:
                break
            await asyncio.sleep(0.005)
        for connection in connections:
            connection.abort()
        await asyncio.sleep(0)

    async def _open_one(self, number: int, key_byte: int) -> Connection:
        greeting = self.adapter.greeting(number)
        listener = _Greeter(self.adapter) if greeting else None
        connection = await open_connection(
            self.target, number, listener, max_bytes=self.max_bytes, key_byte=key_byte
        )
        if listener is None:
            return connection
        for message in greeting:
            connection.send(message)
        try:
            async with asyncio.timeout(_GREETING_S):
                await listener.done.wait()
        except TimeoutError as error:
            connection.abort()
            text = f"{self.target.shown} did not answer the adapter's greeting within {_GREETING_S:g} s"
            raise Unreachable("timeout", text) from error
        if connection.end is not None:
            text = f"{self.target.shown} closed during the adapter's greeting with code {connection.end.code}"
            raise Unreachable("closed", text)
        connection.listener = None
        return connection


class _Greeter:
    """Wait for the message that ends the greeting."""

    def __init__(self, adapter: Adapter) -> None:
        self._adapter = adapter
        self.done = asyncio.Event()

    def received(self, connection: Connection, messages: list[tuple[int, bytes, int, int]]) -> None:
        """Ask the adapter."""
        for _, data, start, end in messages:
            if self._adapter.greeted(connection.number, data[start:end]):
                self.done.set()

    def resumed(self, connection: Connection) -> None:
        """Nothing waits here."""

    def closed(self, connection: Connection) -> None:
        """End the waiting."""
        self.done.set()
