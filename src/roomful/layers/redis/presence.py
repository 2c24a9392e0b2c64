"""Presence over all processes: each node says who is present through it, and answers for that with one lease.

A node renews its lease every few seconds. One that has died is found by the others when its lease has run out, and what
it said is taken back in each room, atomically, so that a leave is published once whoever sweeps. One that stops lets
its lease run out too: whoever was present through it is about to come back through another one, and has that time.

A node that is new buries nobody before it has had a lease for as long as one lasts: to it all leases have run out when
the server's clock was put forward before it came, and those who live renew theirs in that time. One that could not
renew its lease in time is new again: when the server was away, the others could not either.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Final, cast

from ...core.capabilities import Occupants
from ...core.errors import LayerAway, LayerError
from ...core.names import RoomName, presence_topic
from ...core.positions import Position
from .batches import batches, together
from .client import Client
from .keys import Keys, RoomKeys

__all__ = ("NodePresence",)

logger: Final = logging.getLogger("roomful.layer")

_BURIED: Final = "!"  # behind the name of a node that is dead for good; as in roomful.lua
_RETIRED: Final = "~"  # behind the name of a node that has stopped; as there
_RENEWALS: Final = 3  # in the time of one lease
_KEEPINGS: Final = 12  # while something takes long: then the renewal after it is not late


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
        self._new_since = clock()
        self._renewed_at: float | None = None
        # Its names before, with the rooms in which something was said and has not been said again.
        self._former: dict[str, set[RoomName]] = {}
        self._warned_of: set[str] = set()
        self._here: dict[RoomName, dict[str, bytes]] = {}
        self._renewing: asyncio.Task[None] | None = None
        self._beginning = asyncio.Lock()
        self._has_ended = False

    @property
    def _node(self) -> str:
        return f"{self._name}.{self._life}"

    async def start(self) -> None:
        """Take a lease if other nodes have one: the last of them that stops knows then that it is not alone."""
        with self._going_on("has no lease yet"):
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
        is_here = int(bool(self._here))
        self._here.clear()
        if self._client.is_up:
            with self._going_on("leaves its lease to run out"):
                is_new = int(self._is_new or self._is_late(self._clock()))
                to_sweep = await self._client.call(
                    "retire", (self._keys.leases,), self._node, self._lease_ms, is_here, is_new
                )
                await self._sweep_dead([_text(name) for name in cast("list[bytes]", to_sweep)])

    # ── Leases ──

    @property
    def _lease_ms(self) -> int:
        return int(self._lease_s * 1000)

    @property
    def _is_new(self) -> bool:
        return self._clock() - self._new_since < self._lease_s

    def _is_late(self, now: float) -> bool:
        # Half of a lease is late: another node may have been about to renew its own when this one just had.
        return self._renewed_at is None or now - self._renewed_at > self._lease_s / 2

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
            await asyncio.sleep(self._lease_s / _RENEWALS)
            with self._going_on("cannot renew its lease"):
                await self._look()

    @contextmanager
    def _going_on(self, problem: str) -> Iterator[None]:
        """Go on after whatever goes wrong, and log that."""
        try:
            yield
        except LayerError as error:
            logger.debug("node %s %s: %s", self._node, problem, error)
        except Exception:
            logger.exception("node %s %s", self._node, problem)

    async def _look(self) -> None:
        """Renew the lease, and take back what the dead have said."""
        if dead := await self._renew():
            async with self._kept():
                await self._sweep_dead(dead)

    @asynccontextmanager
    async def _kept(self) -> AsyncIterator[None]:
        """Renew the lease all the while: else who needs longer than one lease would begin anew for ever."""
        keeping = asyncio.create_task(self._keep(), name="roomful-redis-keeper")
        try:
            yield
        finally:
            keeping.cancel()
            await asyncio.wait((keeping,))

    async def _keep(self) -> None:
        has_lease = True
        while has_lease:  # else the next renewal begins another life
            await asyncio.sleep(self._lease_s / _KEEPINGS)
            with self._going_on("cannot renew its lease"):
                has_lease, _ = await self._extend()

    async def _sweep_dead(self, names: list[str]) -> None:
        for name in names:
            node = name.removesuffix(_BURIED).removesuffix(_RETIRED)
            try:
                if name.endswith(_BURIED) or await self._bury(name):
                    await self._sweep(node)
                    await self._client.command("ZREM", self._keys.leases, _raw(node + _BURIED))
            except LayerAway:
                raise
            except LayerError as error:
                # It stays buried, and the rest goes on: one room must not keep the dead of all others present.
                self._warn(node, "what it said cannot be taken back", error)
                with suppress(LayerError):
                    await self._client.call(
                        "defer", (self._keys.leases,), _raw(node + _BURIED), self._lease_ms
                    )

    def _warn(self, node: str, problem: str, error: LayerError) -> None:
        level = logging.DEBUG if node in self._warned_of else logging.WARNING
        logger.log(level, "node %r: %s: %s", node, problem, error)
        self._warned_of.add(node)

    async def _bury(self, name: str) -> bool:
        if self._is_new:
            return False
        # Else it has renewed its lease, or somebody else was quicker.
        return bool(await self._client.call("bury", (self._keys.leases,), _raw(name)))

    async def _renew(self) -> list[str]:
        has_lease, dead = await self._extend()
        if not has_lease:
            # The others have taken this node for dead, and take back what it said under this name; or the server has
            # lost what it knew.
            self._former[self._node] = set(self._here)
            self._life += 1
            self._renewed_at = None
            _, dead = await self._extend()
        if self._former:
            try:
                async with self._kept():
                    await self._say_again()
            except LayerAway:
                raise
            except LayerError as error:
                self._warn(self._node, "what it said under a name before cannot all be said again", error)
        return dead

    async def _extend(self) -> tuple[bool, list[str]]:
        """Renew the lease, or take one; return whether there is one now, and whose have run out."""
        # By the server's clock leases run out; by this node's, which cannot jump, the server sees that its own has.
        now = self._clock()
        since_ms = -1 if self._renewed_at is None else int((now - self._renewed_at) * 1000)
        answer = await self._client.call("renew", (self._keys.leases,), self._node, self._lease_ms, since_ms)
        answered_at = self._clock()
        if self._is_late(answered_at):
            self._new_since = answered_at
        self._renewed_at = now
        has_lease, *dead = cast("list[Any]", answer)
        return bool(has_lease), [_text(node) for node in dead]

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
        names = await self._client.command("SMEMBERS", _raw(self._keys.rooms_of(node)))
        return {RoomName(_text(name)) for name in cast("set[bytes]", names)}

    async def _sweep(self, node: str) -> None:
        rooms = await self._rooms_of(node)
        await together(self._sweep_room(node, room) for room in rooms)

    async def _sweep_room(self, node: str, room: RoomName) -> None:
        keys = self._topic(room)
        names = tuple(_raw(name) for name in _names(keys))
        await self._client.call("sweep", names, _raw(keys.channel), self._idle_ms, _raw(node))
        await self._client.command("SREM", _raw(self._keys.rooms_of(node)), _raw(room))

    def _topic(self, room: RoomName) -> RoomKeys:
        return self._keys.room(presence_topic(room))


def _names(keys: RoomKeys) -> tuple[str, ...]:
    return keys.meta, keys.stream, keys.occupants


def _raw(name: str) -> bytes:
    return name.encode(errors="surrogateescape")


def _text(name: bytes) -> str:
    # Anybody may have written to the server: what is no text is another name, and goes back as it came.
    return name.decode(errors="surrogateescape")
