"""Presence over all processes: each node says who is present through it, and answers for that with one lease.

A node renews its lease every few seconds. One that has died is found by the others when its lease has run out, and what
it said is taken back in each room, atomically, so that a leave is published once whoever sweeps.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final, cast

from ...core.capabilities import Occupants
from ...core.errors import LayerError
from ...core.names import RoomName, presence_topic
from ...core.positions import Position
from .client import Client
from .keys import Keys, RoomKeys

__all__ = ("NodePresence",)

logger: Final = logging.getLogger("roomful.layer")

_RENEWALS: Final = 3  # in the time of one lease


class NodePresence:
    """What one node says of presence.

    Args:
        client: Asks the server.
        keys: The names of keys.
        node: What the node is called.
        idle_room_s: Seconds for which a topic that nobody uses keeps its numbering.
        lease_s: Seconds after which a node that has not renewed its lease counts as dead.
    """

    def __init__(self, client: Client, keys: Keys, node: str, *, idle_room_s: float, lease_s: float) -> None:
        self._client = client
        self._keys = keys
        self._node = node
        self._idle_ms = int(idle_room_s * 1000)
        self._lease_s = lease_s
        self._here: dict[RoomName, dict[str, bytes]] = {}
        self._renewing: asyncio.Task[None] | None = None

    async def appear(self, room: RoomName, who: str, info: bytes) -> None:
        """Say that somebody is present here."""
        if self._renewing is None:
            self._renewing = asyncio.create_task(self._renew_on(), name="roomful-redis-lease")
            await self._renew()
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
        answer = await self._client.call("occupants", _names(self._topic(room)), self._idle_ms)
        epoch, top, *flat = cast("list[Any]", answer)
        who = {name.decode(): info for name, info in zip(flat[::2], flat[1::2], strict=True)}
        return Occupants(Position(epoch.decode(), top), who)

    async def stop(self) -> None:
        """Take back all that was said, if the server is there."""
        renewing, self._renewing = self._renewing, None
        if renewing is None:
            return
        renewing.cancel()
        await asyncio.wait((renewing,))
        self._here.clear()
        if self._client.is_up:
            try:
                await self._sweep(self._node)
                await self._client.command("ZREM", self._keys.leases, self._node)
            except LayerError as error:
                logger.debug("node %s leaves its lease to run out: %s", self._node, error)

    # ── Leases ──

    async def _renew_on(self) -> None:
        while True:
            await asyncio.sleep(self._lease_s / _RENEWALS)
            try:
                for node in await self._renew():
                    await self._sweep(node)
                    await self._client.call("bury", (self._keys.leases,), node)
            except LayerError as error:
                logger.debug("node %s cannot renew its lease: %s", self._node, error)

    async def _renew(self) -> list[str]:
        answer = await self._client.call("renew", (self._keys.leases,), self._node, int(self._lease_s * 1000))
        was_known, *dead = cast("list[Any]", answer)
        if not was_known:
            # The others have taken this node for dead, or the server has lost what it knew.
            for room, who, info in [
                (room, *one) for room, here in self._here.items() for one in here.items()
            ]:
                if who in self._here.get(room, {}):
                    await self._say(room, who, info)
        return [node.decode() for node in dead]

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
