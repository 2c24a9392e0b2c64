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
from contextlib import suppress
from typing import Any, Final, cast

from ...core.capabilities import Occupants
from ...core.errors import LayerAway, LayerError
from ...core.names import RoomName, presence_topic
from ...core.positions import Position
from .batches import batches, together
from .client import Client
from .keys import Keys, RoomKeys
from .lease import BURIED, RETIRED, Lease, raw, text

__all__ = ("NodePresence",)

logger: Final = logging.getLogger("roomful.layer")


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
        self._lease = Lease(client, keys, node, lease_s=lease_s, clock=clock)
        self._idle_ms = int(idle_room_s * 1000)
        # Its names before, with the rooms in which something was said and has not been said again.
        self._former: dict[str, set[RoomName]] = {}
        self._warned_of: set[str] = set()
        self._here: dict[RoomName, dict[str, bytes]] = {}
        self._renewing: asyncio.Task[None] | None = None
        self._beginning = asyncio.Lock()
        self._has_ended = False

    @property
    def _node(self) -> str:
        return self._lease.node

    async def start(self) -> None:
        """Take a lease if other nodes have one: the last of them that stops knows then that it is not alone."""
        with self._lease.going_on("has no lease yet"):
            if await self._client.command("EXISTS", self._keys.leases):
                await self._begin()

    async def appear(self, room: RoomName, who: str, info: bytes) -> None:
        """Say that somebody is present here."""
        await self._begin()
        self._here.setdefault(room, {})[who] = info
        await self._say(room, who, info)

    async def _say(self, room: RoomName, who: str, info: bytes) -> None:
        # The list of rooms first: whoever sweeps looks into each room that may have something.
        await self._client.command("SADD", self._keys.rooms_of(self._node), room)
        await self._say_who(room, who, info)

    async def _say_who(self, room: RoomName, who: str, info: bytes) -> None:
        keys = self._topic(room)
        await self._client.call("appear", _names(keys), keys.channel, self._idle_ms, self._node, who, info)

    async def disappear(self, room: RoomName, who: str) -> None:
        """Say that somebody is no longer present here."""
        # Whether or not it is known here: it may be asked for again, because the server has not been told.
        here = self._here.get(room, {})
        here.pop(who, None)
        if not here:
            self._here.pop(room, None)
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
        self._has_ended = True
        renewing, self._renewing = self._renewing, None
        if renewing is None:
            return
        renewing.cancel()
        await asyncio.wait((renewing,))
        is_here = bool(self._here)
        self._here.clear()
        if self._client.is_up:
            with self._lease.going_on("leaves its lease to run out"):
                await self._sweep_dead(await self._lease.retire(is_here=is_here))

    # ── Leases ──

    async def _begin(self) -> None:
        """Take a lease, and take back what is buried already."""
        async with self._beginning:  # nobody overtakes the first
            if self._renewing is None:
                self._check_not_ended()
                await self._look()
                self._check_not_ended()
                self._renewing = asyncio.create_task(self._renew_on(), name="roomful-redis-lease")

    def _check_not_ended(self) -> None:
        if self._has_ended:
            raise LayerAway("layer was stopped")

    async def _renew_on(self) -> None:
        while True:
            await self._lease.pause()
            with self._lease.going_on("cannot renew its lease"):
                await self._look()

    async def _look(self) -> None:
        """Renew the lease, and take back what the dead have said."""
        if dead := await self._renew():
            async with self._lease.kept():
                await self._sweep_dead(dead)

    async def _sweep_dead(self, names: list[str]) -> None:
        for name in names:
            node = name.removesuffix(BURIED).removesuffix(RETIRED)
            try:
                if name.endswith(BURIED) or await self._lease.bury(name):
                    await self._sweep(node)
                    await self._lease.forget(node)
            except LayerAway:
                raise
            except LayerError as error:
                # It stays buried, and the rest goes on: one room must not keep the dead of all others present.
                self._warn(node, "what it said cannot be taken back", error)
                with suppress(LayerError):
                    await self._lease.defer(node)

    def _warn(self, node: str, problem: str, error: LayerError) -> None:
        level = logging.DEBUG if node in self._warned_of else logging.WARNING
        logger.log(level, "node %r: %s: %s", node, problem, error)
        self._warned_of.add(node)

    async def _renew(self) -> list[str]:
        has_lease, dead = await self._lease.extend()
        if not has_lease:
            # The others have taken this node for dead, and take back what it said under this name; or the server has
            # lost what it knew.
            self._former[self._node] = set(self._here)
            self._lease.begin_anew()
            _, dead = await self._lease.extend()
        if self._former:
            try:
                async with self._lease.kept():
                    await self._say_again()
            except LayerAway:
                raise
            except LayerError as error:
                self._warn(self._node, "what it said under a name before cannot all be said again", error)
        return dead

    async def _say_again(self) -> None:
        for node, former in self._former.items():
            former.update(await self._rooms_of(node))
        rooms = set[RoomName]().union(*self._former.values())
        for some in batches(room for room in rooms if room in self._here):
            await self._client.command("SADD", self._keys.rooms_of(self._node), *some)
        refused: dict[RoomName, LayerError] = {}
        await together(
            self._say_who_again(room, who, refused)
            for room in rooms
            for who in list(self._here.get(room, ()))
        )
        # What was said under a name before while the others took it back, they may not have seen; nor is it in the list
        # of rooms, where they have deleted that afterwards.
        await together(self._sweep_former(room) for room in rooms - refused.keys())
        for error in refused.values():
            raise error
        self._former.clear()

    async def _say_who_again(self, room: RoomName, who: str, refused: dict[RoomName, LayerError]) -> None:
        info = self._here.get(room, {}).get(who)
        if info is not None and room not in refused:  # who has gone meanwhile is not said
            try:
                await self._say_who(room, who, info)
            except LayerAway:
                raise
            except LayerError as error:
                refused[room] = error

    async def _sweep_former(self, room: RoomName) -> None:
        for node, rooms in self._former.items():
            if room in rooms:
                await self._sweep_room(node, room)
                rooms.remove(room)

    async def _rooms_of(self, node: str) -> set[RoomName]:
        names = await self._client.command("SMEMBERS", raw(self._keys.rooms_of(node)))
        return {RoomName(text(name)) for name in cast("set[bytes]", names)}

    async def _sweep(self, node: str) -> None:
        rooms = await self._rooms_of(node)
        await together(self._sweep_room(node, room) for room in rooms)

    async def _sweep_room(self, node: str, room: RoomName) -> None:
        keys = self._topic(room)
        names = tuple(raw(name) for name in _names(keys))
        await self._client.call("sweep", names, raw(keys.channel), self._idle_ms, raw(node))
        await self._client.command("SREM", raw(self._keys.rooms_of(node)), raw(room))

    def _topic(self, room: RoomName) -> RoomKeys:
        return self._keys.room(presence_topic(room))


def _names(keys: RoomKeys) -> tuple[str, ...]:
    return keys.meta, keys.stream, keys.occupants
