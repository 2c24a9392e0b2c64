"""A shard: one Redis server of an exchange, with the layer that carries topics and a connection for commands.

It starts when it is first needed, and again after it could not be reached.
"""

from __future__ import annotations

import asyncio

from ..core.ports import Deliver, Suspect
from ..layers.redis import Bounds, RedisLayer, Timing
from ..layers.redis.client import Client

__all__ = ("Shard",)


class Shard:
    """One server.

    Args:
        url: Where it is.
        prefix: With what all keys begin.
        deliver: Takes what the layer delivers.
        suspect: Takes the topics of which something may have been missed.
    """

    def __init__(self, url: str, prefix: str, deliver: Deliver, suspect: Suspect) -> None:
        self.layer: RedisLayer = RedisLayer(url, prefix=prefix)
        self._deliver = deliver
        self._suspect = suspect
        self._client: Client | None = None
        self._starting: asyncio.Task[Client] | None = None

    async def started(self) -> Client:
        """Start, once; the next call tries again when it fails. Return what sends commands."""
        if self._client is not None:
            return self._client
        if self._starting is None:
            self._starting = asyncio.create_task(self._start())
        try:
            self._client = await asyncio.shield(self._starting)
        finally:
            self._starting = None
        return self._client

    async def command(self, *command: str | bytes | int, twice: bool = True) -> object:
        """Send a command; see `Client.command`."""
        return await (await self.started()).command(*command, twice=twice)

    async def _start(self) -> Client:
        await self.layer.start(self._deliver, self._suspect)
        # Of its own, because what a layer can do is little, and the queues need more.
        client = Client(
            self.layer.address,
            self.layer.keys,
            bounds=Bounds(),
            timing=Timing(),
            is_up=_nothing,
            is_down=_nothing,
        )
        try:
            await client.start()
        except BaseException:
            await self.layer.stop()
            raise
        return client

    async def stop(self) -> None:
        """End."""
        client, self._client = self._client, None
        if client is not None:
            await client.stop()
            await self.layer.stop()


def _nothing(*_: object) -> None:
    """Take what nobody asks for: the layer beside it tells whether the server is there."""
