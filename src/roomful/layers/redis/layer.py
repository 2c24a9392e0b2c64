"""The Redis layer: rooms of many processes, over Redis 7, Valkey 8 or newer.

One connection publishes and asks, another one is subscribed. It decodes no payload, and it never sends a push again
that another run of the server may have taken.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from ...core.capabilities import Occupants
from ...core.errors import LayerAway, LayerError
from ...core.names import RoomName
from ...core.policies import Retention
from ...core.ports import Deliver, Page, ProducerSeq, Receipt, Suspect
from ...core.positions import Position
from .address import Address
from .client import Client
from .island import Island
from .keys import Keys
from .line import Line, Timing
from .link import Link
from .options import Options
from .presence import NodePresence
from .publisher import Bounds, keep_text
from .reach import Reach
from .subscriber import Subscriber

__all__ = ("RedisLayer", "RedisStatus")

_TICK_S: Final = 0.25
_SWEEP_S: Final = 60.0  # in which the top of every attached room is asked for once


@dataclass(frozen=True, slots=True)
class RedisStatus:
    """What a layer holds and how its server is.

    Attributes:
        is_up: Whether it can publish and receives.
        problem: Why not; empty when it is up.
        outages: How often it has ceased to be up.
        pending: Pushes without an answer.
        attached: Rooms that are delivered.
        received: Publications that have come.
        suspected: How often events of a room may have been missed.
    """

    is_up: bool
    problem: str
    outages: int
    pending: int
    attached: int
    received: int
    suspected: int


class RedisLayer:
    """Implements the port `Layer` over a server that all processes share.

    Order: the server numbers the events of a room, and publishes them in that order.
    Once: a push whose answer is lost is asked for again by its number, up to `Bounds.answer_timeout_s`.
    Loss: whatever ends or delays a connection is seen within seconds; then the tops of all rooms are compared, and each
    that has moved is suspected.

    Args:
        url: `redis://`, `rediss://` or `unix://`.
        prefix: What all keys begin with; layers with the same one share their rooms.
        when_layer_is_down: What becomes of pushes while the server is away. `refuse`: they raise `LayerAway`, or wait
            for `Bounds.hold_s`. `local`: each node carries its own to its own members, in an epoch of its own, of whose
            begin and end they are told.
        bounds: What may be under way, and for how long.
        timing: How patient it is with the server.
        clock: A monotonic time in seconds.

    `prefix`, `when_layer_is_down` and `hold_s` may also stand in the URL: `redis://localhost?prefix=shop&hold_s=5`.

    Raises:
        LayerError: The URL names no server, or has an option that is not known.
    """

    shared = True

    def __init__(
        self,
        url: str,
        *,
        prefix: str = "roomful",
        when_layer_is_down: Literal["refuse", "local"] = "refuse",
        bounds: Bounds | None = None,
        timing: Timing | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        options = Options.read(
            url, prefix=prefix, when_layer_is_down=when_layer_is_down, bounds=bounds or Bounds()
        )
        self.address: Address = options.address
        self._bounds = options.bounds
        self._is_local = options.is_local
        self.keys: Keys = Keys(options.prefix)
        self._timing = timing or Timing()
        self._clock = clock
        self._reach = Reach(self.address)
        self._client: Client | None = None
        self._subscriber: Subscriber | None = None
        self._line: Line | None = None
        self._presence: NodePresence | None = None
        self._island: Island | None = None
        self._sweeping: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<RedisLayer {self.address}>"

    # ── Life ──

    async def start(self, deliver: Deliver, suspect: Suspect) -> None:
        """Connect.

        Raises:
            LayerError: The server cannot be reached or used; the text says why.
        """
        client = Client(
            self.address,
            self.keys,
            bounds=self._bounds,
            timing=self._timing,
            is_up=self._look,
            is_down=self._reach.lost,
            clock=self._clock,
        )
        subscriber = Subscriber(self.keys, self._bounds.idle_room_s, deliver, suspect, client.reloads.load)
        line = Line(self.address, self._timing, subscriber.make_link, self._hears, self._hears_nothing)
        self._client, self._subscriber, self._line = client, subscriber, line
        self._presence = NodePresence(
            client,
            self.keys,
            secrets.token_urlsafe(9),
            idle_room_s=self._bounds.idle_room_s,
            lease_s=self._timing.lease_s,
            clock=self._clock,
        )
        self._reach.problem = "it is not connected yet"
        try:
            await client.start()
            await line.start()
            await self._presence.start()
        except BaseException:
            await self.stop()
            raise
        self._look()
        self._sweeping = asyncio.create_task(self._sweep(subscriber), name="roomful-redis-sweep")

    async def stop(self) -> None:
        """End, once the pushes that are under way are answered or two seconds have passed."""
        client, subscriber, line = self._client, self._subscriber, self._line
        if self._presence is not None:
            await self._presence.stop()
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.wait((self._sweeping,))
            self._sweeping = None
        if client is not None and subscriber is not None and line is not None:
            await client.stop()
            subscriber.stop()
            await line.stop()
        self._client, self._subscriber, self._line, self._presence, self._island = (None,) * 5
        self._reach.problem = "it was stopped"

    async def _sweep(self, subscriber: Subscriber) -> None:
        due = 0.0
        while True:
            await asyncio.sleep(_TICK_S)
            self._look()
            due += subscriber.room_count * _TICK_S / _SWEEP_S
            if due >= 1:
                subscriber.sweep(int(due))
                due %= 1

    # ── The server comes and goes ──

    def _look(self) -> None:
        client, line = self._client, self._line
        if client is None or line is None or not self._reach.look(client, line):
            return
        if self._island is not None and self._subscriber is not None:
            self._island = None
            self._subscriber.unmute()

    async def _hears(self, link: Link) -> None:
        if self._subscriber is not None:
            await self._subscriber.up(link)
        asyncio.get_running_loop().call_soon(self._look)

    def _hears_nothing(self, reason: str) -> None:
        if self._subscriber is not None:
            self._subscriber.down()
        self._reach.lost(reason)

    def _alone(self) -> Island | None:
        """Return the island of this node, if that is what carries its pushes now."""
        client, subscriber = self._client, self._subscriber
        if not self._is_local or self._island is not None or client is None or subscriber is None:
            return self._island
        if not client.is_up:
            self._island = Island(subscriber.deliver, subscriber.is_attached)
            subscriber.is_muted = True
        return self._island

    def health(self) -> str:
        """Return what is wrong, or nothing: whether it can publish and receives."""
        return self._reach.problem

    def status(self) -> RedisStatus:
        """Return how the server is, and what the layer holds."""
        client, subscriber = self._client, self._subscriber
        return RedisStatus(
            is_up=not self._reach.problem,
            problem=self._reach.problem,
            outages=self._reach.outages,
            pending=client.publisher.pending if client else 0,
            attached=subscriber.room_count if subscriber else 0,
            received=subscriber.received if subscriber else 0,
            suspected=subscriber.suspected if subscriber else 0,
        )

    # ── Rooms ──

    def publish(
        self,
        room: RoomName,
        payload: bytes,
        *,
        seq: ProducerSeq,
        key: str | None = None,
        keep: Retention | None = None,
    ) -> asyncio.Future[Receipt]:
        """Number an event and carry it to every process.

        Awaiting it raises `LayerAway` when it had no effect because the server was away, `PushInDoubt` when nobody can
        know, and another `LayerError` when the server has refused it.
        """
        client = self._started()
        if (island := self._alone()) is not None:
            receipt: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
            receipt.set_result(island.publish(room, payload, key))
            return receipt
        return client.publish(room, payload, seq, key=key, keep=keep_text(keep))

    async def attach(self, room: RoomName) -> Position:
        """Begin to deliver a room.

        Raises:
            LayerAway: The server has not answered within `Bounds.answer_timeout_s`.
            LayerError: It has refused.
        """
        if self._subscriber is None:
            raise LayerError("layer is not started")
        if (island := self._alone()) is not None:
            self._subscriber.expect(room)
            return island.top(room)
        try:
            async with asyncio.timeout(self._bounds.answer_timeout_s):
                return await self._subscriber.attach(room)
        except TimeoutError:
            raise LayerAway(
                f"room {room!r} cannot be delivered, the layer is away: {self._reach.problem}"
            ) from None

    def detach(self, room: RoomName) -> None:
        """Cease to deliver a room; the server keeps its numbering for a while."""
        if self._subscriber is not None:
            self._subscriber.detach(room)

    async def history(self, room: RoomName, after: Position, limit: int) -> Page:
        """Return kept events that follow `after`, the oldest first, all with the room's present epoch."""
        if (island := self._alone()) is not None:
            return island.history(room, after)
        keys = self.keys.room(room)
        names = (keys.meta, keys.stream)
        answer = await self._started().call("history", names, after.epoch, after.offset, limit)
        name, top, leads, *flat = cast("list[Any]", answer)
        epoch = name.decode()
        entries = tuple(
            (Position(epoch, offset), payload) for offset, payload in zip(flat[::2], flat[1::2], strict=True)
        )
        first = entries[0][0].offset - 1 if entries else top
        return Page(entries, complete=bool(leads) and first == after.offset, top=Position(epoch, top))

    # ── core.capabilities.Presence ──

    async def appear(self, room: RoomName, who: str, info: bytes) -> None:
        """Say that somebody is present through this process."""
        await self._present().appear(room, who, info)

    async def disappear(self, room: RoomName, who: str) -> None:
        """Say that somebody is no longer present through this process."""
        await self._present().disappear(room, who)

    async def occupants(self, room: RoomName) -> Occupants:
        """Return who is present."""
        return await self._present().occupants(room)

    # ── core.capabilities.KeyedState ──

    async def put_once(self, key: str, value: bytes, *, ttl_s: float) -> bool:
        """Store a value if the key has none.

        Raises:
            LayerAway: The server is away, or its answer was lost and nobody knows whether it has stored the value.
        """
        name = self.keys.value(key)
        return (
            await self._started().command("SET", name, value, "PX", _ms(ttl_s), "NX", twice=False) is not None
        )

    async def put(self, key: str, value: bytes, *, ttl_s: float) -> None:
        """Store a value, whatever the key had."""
        await self._started().command("SET", self.keys.value(key), value, "PX", _ms(ttl_s))

    async def get(self, key: str) -> bytes | None:
        """Return a value that has not expired."""
        return cast("bytes | None", await self._started().command("GET", self.keys.value(key)))

    async def take_once(self, key: str) -> bytes | None:
        """Remove and return a value.

        Raises:
            LayerAway: The server is away, or its answer was lost; then nobody gets the value.
        """
        return cast(
            "bytes | None", await self._started().command("GETDEL", self.keys.value(key), twice=False)
        )

    def _present(self) -> NodePresence:
        if self._presence is None:
            raise LayerError("layer is not started")
        return self._presence

    def _started(self) -> Client:
        if self._client is None:
            raise LayerError("layer is not started")
        return self._client


def _ms(seconds: float) -> int:
    return max(1, int(seconds * 1000))
