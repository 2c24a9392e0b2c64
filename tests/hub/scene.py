"""A hub on fakes: an engine with a fake layer and codec, and clients whose wires can be read."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Mapping
from functools import partial

from roomful.core.limits import Limits
from roomful.core.names import RoomName
from roomful.core.policies import Policies, RoomPolicy
from roomful.core.ports import FrameKind
from roomful.hub import Connection, Engine
from tests.clock import VirtualLoop, other_tasks, passes
from tests.fakes import PLAIN, FakeCodec, FakeHandler, FakeLayer, FakeWire


class Client:
    """One connection with the fakes on both of its sides."""

    def __init__(self, engine: Engine, kind: FrameKind, *, supervises: bool) -> None:
        self.handler = FakeHandler()
        self.wires: list[FakeWire] = []
        self.connection: Connection = engine.open(kind, partial(self._make_wire, supervises))
        self.connecting: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def _make_wire(self, supervises: bool, peer: object) -> FakeWire:
        self.wires.append(FakeWire(peer, supervises=supervises))  # type: ignore[arg-type] # the connection
        return self.wire

    @property
    def wire(self) -> FakeWire:
        return self.wires[0]

    @property
    def written(self) -> list[str]:
        return self.wire.written

    def take(self) -> list[str]:
        """Return what was written since the last call."""
        taken, self.wire.written = self.wire.written, []
        return taken

    def attach(self) -> None:
        """Begin `connect`."""
        self.connection.attach(self.handler, self.connecting)  # type: ignore[arg-type] # what can be cancelled will do

    def connected(self) -> None:
        """Let `connect` return."""
        self.connection.connected(contextvars.copy_context())


class Scene:
    """A hub and its clients."""

    def __init__(self, limits: Limits | None = None, rooms: Mapping[str, RoomPolicy] | None = None) -> None:
        self.layer = FakeLayer()
        self.codec = FakeCodec()
        self.engine = Engine(self.layer, self.codec, limits or Limits(), Policies(rooms or {}))
        self.clients: list[Client] = []

    def opening(self, kind: FrameKind = PLAIN, *, supervises: bool = True) -> Client:
        """Return a client whose `connect` runs."""
        client = Client(self.engine, kind, supervises=supervises)
        client.attach()
        self.clients.append(client)
        return client

    def client(self, kind: FrameKind = PLAIN, *, supervises: bool = True) -> Client:
        """Return a client whose `connect` has returned."""
        client = self.opening(kind, supervises=supervises)
        client.connected()
        return client

    async def member(self, *rooms: str, kind: FrameKind = PLAIN, supervises: bool = True) -> Client:
        """Return a client that is in these rooms, and has seen that it is."""
        client = self.client(kind, supervises=supervises)
        for room in rooms:
            await client.connection.join(room)
        client.take()
        return client

    async def push(self, room: str, text: str, exclude: Client | None = None) -> int:
        """Push, and return the offset."""
        receipt = await self.engine.pushing.push(
            room, text, exclude=None if exclude is None else exclude.connection.id
        )
        return receipt.position.offset

    def top(self, room: str) -> int:
        return self.layer.tops.get(RoomName(room), 0)

    async def assert_nothing_is_left(self) -> None:
        """End what still lives, and find no room, connection, task or timer."""
        for client in self.clients:
            assert client.wire.wrongs == []
            if not client.connection.is_lost:
                client.wire.lose()
            if client.connecting.cancelled():
                client.connection.abandoned()
        await passes(6)
        statistics = self.engine.statistics()
        assert (statistics.connections, statistics.ending, statistics.rooms) == (0, 0, 0)
        assert (statistics.memberships, statistics.paused, statistics.outbox_bytes) == (0, 0, 0)
        assert self.layer.attached == set()
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        assert other_tasks() == set()
        assert loop.timers == []


def soon(awaitable: Awaitable[object]) -> asyncio.Future[object]:
    """Start something, and let it come as far as it can."""
    return asyncio.ensure_future(awaitable)


async def outcome(awaitable: Awaitable[object]) -> object:
    """Return what became of something: its result, or its error."""
    try:
        return await awaitable
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 -- the error is what is asked for
        return error
