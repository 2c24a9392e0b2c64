"""A Redis layer and what it has delivered, for tests that look into it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from roomful.core.names import RoomName
from roomful.core.policies import Retention
from roomful.core.ports import ProducerSeq, Receipt
from roomful.core.positions import Position
from roomful.layers.redis import RedisLayer, Timing

from .servers import BINARIES, Server

__all__ = ("QUICK", "ROOM", "Scene", "make_server", "scene", "until")

ROOM = RoomName("room")
QUICK = Timing(connect_timeout_s=1, ping_interval_s=0.1, ping_timeout_s=0.5, max_backoff_s=0.05, lease_s=0.3)


class Scene:
    """A layer, and what it has delivered."""

    def __init__(self, url: str, **options: object) -> None:
        self.layer = RedisLayer(url, **{"timing": QUICK, **options})  # type: ignore[arg-type]
        self.delivered: list[tuple[RoomName, Position, bytes]] = []
        self.suspected: list[RoomName] = []
        self.numbers = 0

    async def start(self) -> None:
        await self.layer.start(lambda *event: self.delivered.append(event), self.suspected.append)

    def push(
        self,
        payload: bytes = b"x",
        *,
        room: RoomName = ROOM,
        keep: Retention | None = None,
        key: str | None = None,
    ) -> asyncio.Future[Receipt]:
        self.numbers += 1
        return self.layer.publish(room, payload, seq=ProducerSeq("p", self.numbers), keep=keep, key=key)

    @property
    def payloads(self) -> list[bytes]:
        return [payload for _, _, payload in self.delivered]

    def cut(self) -> None:
        """End the connection that publishes, as a network would."""
        client = self.layer._client
        assert client is not None
        assert client._line.link is not None
        client._line.link.end("cut by the test")


@asynccontextmanager
async def scene(url: str, **options: object) -> AsyncIterator[Scene]:
    one = Scene(url, **options)
    await one.start()
    try:
        yield one
    finally:
        await one.layer.stop()


async def until(condition: Callable[[], object], *, timeout_s: float = 10.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 -- it is about another process
            await asyncio.sleep(0.005)


def make_server(*options: str) -> Server:
    if not BINARIES:
        pytest.skip("neither Redis nor Valkey is installed")
    return Server(next(iter(BINARIES.values())), *options)
