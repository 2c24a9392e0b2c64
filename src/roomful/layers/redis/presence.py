"""Presence over all processes: each node says who is present through it, and answers for that with one lease.

A node renews its lease every few seconds. One that has died is found by the others when its lease has run out, and what
it said is taken back in each room, atomically, so that a leave is published once whoever sweeps. One that stops lets
its lease run out too: whoever was present through it is about to come back through another one, and has that time.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, Final, cast

from ...core.capabilities import Occupants
from ...core.errors import LayerError
from ...core.names import RoomName, presence_topic
from ...core.positions import Position
from .client import Client
from .keys import Keys, RoomKeys

__all__ = ("NodePresence",)

logger: Final = logging.getLogger("roomful.layer")

_BURIED: Final = "!"  # behind the name of a node that is dead for good; as in roomful.lua
_RENEWALS: Final = 3  # in the time of one lease


class NodePresence:
    """What one node says of presence.

    Args:
        client: Asks the server.
        keys: The names of keys.
        node: What the node is called.
        idle_room_s: Seconds for which a topic that nobody uses keeps its numbering.
        lease_s: Seconds after which a node that has not renewed its lease counts as dead.
        clock: A monotonic time in seconds.
    """

    def __init__(
        self,
        client: Client,
        keys: Keys,
        node: str,
        *,
        idle_room_s: float,
        lease_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._keys = keys
        self._name = node
        self._life = 1
        self._idle_ms = int(idle_room_s * 1000)
        self._lease_s = lease_s
        self._clock = clock
        self._renewed_at: float | None = None
        self._here: dict[RoomName, dict[str, bytes]] = {}
        self._renewing: asyncio.Task[None] | None = None
        self._beginning = asyncio.Lock()

    @property
    def _node(self) -> str:
        return f"{self._name}.{self._life}"

    async def appear(self, room: RoomName, who: str, info: bytes) -> None:
        """Say that somebody is present here."""
        await self._begin()
        self._here.setdefault(room, {})[who] = info
        await self._say(room, who, info)

    async def _say(self, room: RoomName, who: str, info: bytes) -> None:
        # The list of rooms first: whoever sweeps looks into each room that may have something.
        await self._client.command("SADD", self._keys.rooms_of(self._node), room)
        keys = self._topic(room)
        await self._client.call("appear", _names(keys), keys.channel, self._idle_ms, self._node, who, info)

    async def disappear(self, room: RoomName, who: str) -> None:
        """Say that somebody is no longer present here."""
        here = self._here.get(room)
        if here is None or here.pop(who, None) is None:
            return
        if not here:
            del self._here[room]
        keys = self._topic(room)
        await self._client.call("disappear", _names(keys), keys.channel, self._idle_ms, self._node, who)
        if room not in self._here:
            await self._client.command("SREM", self._keys.rooms_of(self._node), room)

    async def occupants(self, room: RoomName) -> Occupants:
        """Return who is present anywhere."""
        await self._begin()
        answer = await self._client.call("occupants", _names(self._topic(room)), self._idle_ms)
        epoch, top, *flat = cast("list[Any]", answer)
        who = {name.decode(): info for name, info in zip(flat[::2], flat[1::2], strict=True)}
        return Occupants(Position(epoch.decode(), top), who)

    async def stop(self) -> None:
        """Let the lease run out, if another node will see that; else take back all that was said."""
        renewing, self._renewing = self._renewing, None
        if renewing is None:
            return
        renewing.cancel()
        await asyncio.wait((renewing,))
        is_anybody_here = bool(self._here)
        self._here.clear()
        if self._client.is_up:
            try:
                if is_anybody_here and await self._client.call(
                    "retire", (self._keys.leases,), self._node, self._lease_ms
                ):
                    return
                await self._sweep(self._node)
                await self._client.command("ZREM", self._keys.leases, self._node)
            except LayerError as error:
                logger.debug("node %s leaves its lease to run out: %s", self._node, error)

    # ── Leases ──

    @property
    def _lease_ms(self) -> int:
        return int(self._lease_s * 1000)

    async def _begin(self) -> None:
        """Take a lease, as whoever says or asks something must see who has died."""
        async with self._beginning:  # nobody overtakes the first
            if self._renewing is None:
                self._renewing = asyncio.create_task(self._renew_on(), name="roomful-redis-lease")
                await self._sweep_dead(await self._renew())

    async def _renew_on(self) -> None:
        while True:
            await asyncio.sleep(self._lease_s / _RENEWALS)
            try:
                await self._sweep_dead(await self._renew())
            except LayerError as error:
                logger.debug("node %s cannot renew its lease: %s", self._node, error)

    async def _sweep_dead(self, nodes: list[str]) -> None:
        for name in nodes:
            node = name.removesuffix(_BURIED)
            if node == name and not await self._client.call("bury", (self._keys.leases,), node):
                continue  # it has renewed its lease, or somebody else was quicker
            await self._sweep(node)
            await self._client.command("ZREM", self._keys.leases, node + _BURIED)

    async def _renew(self) -> list[str]:
        was_new = self._renewed_at is None
        was_known, dead = await self._extend()
        if not was_known and not was_new:
            # The others have taken this node for dead, and take back what it said under this name; or the server has
            # lost what it knew.
            self._life += 1
            self._renewed_at = None
            _, dead = await self._extend()
            for room, who, info in [
                (room, *one) for room, here in self._here.items() for one in here.items()
            ]:
                if who in self._here.get(room, {}):
                    await self._say(room, who, info)
        return dead

    async def _extend(self) -> tuple[bool, list[str]]:
        """Renew the lease; return whether there was one, and whose have run out."""
        # By the server's clock leases run out; by this node's, which cannot jump, the server sees that its own has.
        now = self._clock()
        since_ms = -1 if self._renewed_at is None else int((now - self._renewed_at) * 1000)
        answer = await self._client.call("renew", (self._keys.leases,), self._node, self._lease_ms, since_ms)
        self._renewed_at = now
        was_known, *dead = cast("list[Any]", answer)
        return bool(was_known), [node.decode() for node in dead]

    async def _sweep(self, node: str) -> None:
        rooms = await self._client.command("SMEMBERS", self._keys.rooms_of(node))
        for name in cast("set[bytes]", rooms):
            keys = self._topic(RoomName(name.decode()))
            await self._client.call("sweep", _names(keys), keys.channel, self._idle_ms, node)
        await self._client.command("DEL", self._keys.rooms_of(node))

    def _topic(self, room: RoomName) -> RoomKeys:
        return self._keys.room(presence_topic(room))


def _names(keys: RoomKeys) -> tuple[str, ...]:
    return keys.meta, keys.stream, keys.occupants
