"""The engine of a hub: the life of its connections and of what serves them.

It never awaits a socket, and it hands out nothing that could close its queues. It does not know URLs, frameworks or
consumers.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import sys
from typing import TYPE_CHECKING

from ..core.close_codes import CloseCode
from ..core.errors import (
    ConnectionClosed,
    HubClosed,
    WrongLoop,
)
from ..core.names import ConnectionId, RoomName
from ..core.policies import Policies
from .connection import Connection
from .delivery import Delivery
from .drain import drain
from .flusher import Flusher
from .groups import Groups
from .mail import Mail
from .member import Member, State
from .memberships import Memberships
from .orders import Orders
from .parking import Parking
from .presence import Attendants, check_presence
from .pushing import Pushing
from .reading import Reader
from .residents import Residents
from .statistics import Counters, Statistics
from .throttle import Throttle

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..core.events import Event
    from ..core.limits import Limits
    from ..core.ports import Codec, FrameKind, Joined, Layer, Peer, Wire
    from ..core.positions import Position
    from .delivery import Topic

__all__ = ("Engine",)

logger: logging.Logger = logging.getLogger("roomful.hub")


class Engine:
    """Everything of a hub that needs a running event loop.

    It belongs to the loop that first uses it, and to a new one once that is closed.

    Args:
        layer: Carries and numbers events.
        codec: Encodes what is pushed.
        limits: The bounds.
        policies: Of the rooms; by default all have that of `RoomPolicy()`.
    """

    def __init__(self, layer: Layer, codec: Codec, limits: Limits, policies: Policies | None = None) -> None:
        self.limits = limits
        self.policies: Policies = policies or Policies({})
        if self.policies.have_presence:
            check_presence(layer)
        self.layer = layer
        self.counters: Counters = Counters()
        self.tells_browsers: bool = False
        """Whether what is refused is accepted first, and then closed with the matching code."""
        self.revoke: Callable[[str, int, str], None] = _knows_nobody
        """Sends a principal's connections to this process away, with a code and a reason."""
        self._codec = codec
        self._throttle = Throttle()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_closing = False
        self._is_closed = False
        self.pushing: Pushing = Pushing(self)
        self._reset()

    def _reset(self) -> None:
        self._starting: asyncio.Task[None] | None = None
        self._is_started = False
        self._is_draining = False
        self._draining: asyncio.Task[None] | None = None
        self.memberships: Memberships = Memberships(
            self.layer, self.limits, self.policies, catch_up=self._catch_up
        )
        # Eager tasks, which are cheaper than any waiting, came with Python 3.12.
        self.parking: Parking | None = Parking() if sys.version_info < (3, 12) else None
        self.flusher: Flusher[Member] = Flusher(self.limits, self.counters, Member.broken)
        topics: dict[RoomName, Topic] = {}
        producer = secrets.token_hex(8)
        self._reader = Reader(self.layer)
        self.attendants: Attendants = Attendants(
            self.layer,
            self._codec,
            self.limits,
            memberships=self.memberships,
            topics=topics,
            flusher=self.flusher,
            throttle=self._throttle,
        )
        self.memberships.attendants = self.attendants
        self.groups: Groups = Groups(
            producer,
            self.layer,
            self._codec,
            self.limits,
            topics=topics,
            reader=self._reader,
            counters=self.counters,
            throttle=self._throttle,
            start=self.start,
        )
        self.residents: Residents = Residents(
            self.limits, self.counters, self._throttle, gone=self.groups.leave_all
        )
        self.mail: Mail = Mail(
            self.layer,
            self._codec,
            topics=topics,
            reader=self._reader,
            counters=self.counters,
            find=self.residents.get,
        )
        self.orders: Orders = Orders(
            self.layer,
            self.mail.node,
            topics=topics,
            reader=self._reader,
            counters=self.counters,
            revoke=lambda *order: self.revoke(*order),  # noqa: PLW0108 -- it is set after the engine is made
        )
        self.delivery: Delivery = Delivery(
            producer,
            self.layer,
            self._codec,
            memberships=self.memberships,
            topics=topics,
            reader=self._reader,
            flusher=self.flusher,
            counters=self.counters,
            find=self.residents.get,
            paused=self.residents.stalled,
        )

    # ── Life ──

    def bind(self) -> asyncio.AbstractEventLoop:
        """Return the running loop, which the hub now belongs to.

        Raises:
            HubClosed: The hub has been closed on this loop.
            WrongLoop: It belongs to another loop that has not been closed.
        """
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            if self._loop is not None:
                if not self._loop.is_closed():
                    raise WrongLoop
                # Sockets, tasks and the layer's connections died with their loop; the counters go on. A hub that was
                # closed there is as good as new here, as an application is that a test starts again.
                self._is_closed = self._is_closing = False
                self.memberships.forget()
                self._reset()
            self._loop = loop
        if self._is_closed:
            raise HubClosed
        return loop

    async def start(self) -> None:
        """Start the layer, once; whoever comes meanwhile waits.

        Raises:
            LayerError: The layer cannot be reached or used. The next call tries again.
        """
        loop = self.bind()
        if self._is_started:
            return
        if self._starting is None:
            self._starting = asyncio.Task(self._start(), loop=loop)  # lazy, whatever the loop's task factory
        await asyncio.shield(self._starting)

    async def _start(self) -> None:
        try:
            await self.layer.start(self.delivery.deliver, self.delivery.suspect)
            try:
                await self.mail.start()
                await self.orders.start()
            except BaseException:
                await self.layer.stop()
                raise
            if self._is_closed:
                await self.layer.stop()
                raise HubClosed
            self._is_started = True
        finally:
            self._starting = None

    def reopen(self) -> None:
        """Let a hub that has been closed be used again, on any loop."""
        if self._is_closed:
            self._is_closed = self._is_closing = False
            self._loop = None
            self._reset()

    async def drain(self, timeout_s: float, spread_s: float) -> None:
        """Refuse new connections, and close those that there are, each once it is at rest; see `drain.drain`."""
        if self._loop is None or self._loop.is_closed() or self._is_closing:
            return
        self.bind()
        self._is_draining = True
        self.flusher.flush_all()
        await drain(list(self.residents), timeout_s=timeout_s, spread_s=spread_s)
        await self.residents.emptied(self.limits.close_timeout_s)

    def begin_drain(self) -> None:
        """Drain as the limits say, once, without being waited for."""
        if self._draining is None and not self._is_closing:
            limits = self.limits
            self._draining = asyncio.Task(
                self.drain(limits.drain_timeout_s, limits.drain_spread_s), loop=asyncio.get_running_loop()
            )

    async def close(self, code: int = CloseCode.GOING_AWAY, reason: str = "server is going away") -> None:
        """Close every connection, wait for their consumers within `Limits.close_timeout_s`, and stop the layer.

        Consumers may still push meanwhile; new connections are refused.
        """
        if self._is_closing:
            return
        if self._loop is None or self._loop.is_closed():
            self._is_closing = self._is_closed = True
            return
        self.bind()
        self._is_closing = True
        if self._draining is not None:
            self._draining.cancel()
        try:
            self.flusher.flush_all()
            for connection in self.residents:
                if connection.state is State.OPENING:
                    connection.refuse(503, b"server is going away\n", (), reason)
                else:
                    connection.close(code, reason)
            if not await self.residents.emptied(self.limits.close_timeout_s):
                logger.warning(
                    "hub aborts %d connections that did not end in time",
                    len(self.residents) + self.residents.ending,
                )
        finally:
            for connection in self.residents:
                connection.abort()
            try:
                # Their consumers may still push as they end, so the layer goes last.
                await self.residents.emptied(self.limits.cancel_timeout_s)
            finally:
                self._is_closed = True
                self.residents.stop()
                self.flusher.stop()
                self._reader.stop()
                await self.attendants.stop()
                self.memberships.stop()
                if self._is_started:
                    self._is_started = False
                    await self.layer.stop()

    @property
    def is_started(self) -> bool:
        """Whether the layer carries pushes for it."""
        return self._is_started

    @property
    def takes_connections(self) -> bool:
        """Whether it is neither drained nor closed."""
        return not (self._is_draining or self._is_closing)

    @property
    def is_closing(self) -> bool:
        """Whether it is being closed, or has been."""
        return self._is_closing

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop that the hub belongs to."""
        return self._loop

    async def _catch_up(self, room: RoomName) -> None:
        await self.delivery.catch_up(room)

    # ── Connections ──

    def open(self, kind: FrameKind, make_wire: Callable[[Peer], Wire]) -> Connection:
        """Return a new connection on the wire that `make_wire` returns for it.

        Raises:
            HubClosed: The hub is draining, closing or closed.
            WrongLoop: The hub belongs to another running loop.
        """
        self.bind()
        if not self.takes_connections:
            raise HubClosed
        connection = Connection(self, kind, make_wire)
        self.residents.add(connection)
        return connection

    def send(self, connection_id: ConnectionId, message: Event | str | bytes) -> None:
        """Send to one connection of this process.

        Raises:
            UnknownConnection: No connection has this id.
        """
        self.residents.find(connection_id).send(message)

    def disconnect(self, connection_id: ConnectionId, code: int, reason: str) -> None:
        """Close one connection of this process.

        Raises:
            UnknownConnection: No connection has this id.
        """
        self.residents.find(connection_id).close(code, reason)

    async def join(
        self,
        connection: Connection,
        room: str,
        since: Position | str | None = None,
        *,
        who: str | None = None,
        info: object = None,
    ) -> Joined:
        """Make a connection a member of a room; see `Memberships.join`.

        Accepts the handshake if nobody has, once the room is delivered here: whoever is accepted by it gets what is
        pushed from then on.

        Raises:
            RoomNameError: The name is too long or not printable.
            PresenceError: The name or the info cannot be shown.
            NotEncodable: The info cannot be written as JSON.
            TooManyRooms, RoomFull, PolicyError: The connection may not become a member; it is not accepted by this.
            ConnectionClosed: The connection ended before it was a member.
            LayerError: The layer cannot deliver the room.
        """
        await self.start()
        name = self.memberships.name_of(room)
        self.memberships.check(connection, name)
        who, packed = self.attendants.said(name, who, info)
        if connection.is_closing:
            raise ConnectionClosed(connection.code)
        return await self.memberships.join(connection, name, since, who=who, info=packed)

    def call_later(self, delay_s: float, call: Callable[[], None]) -> asyncio.TimerHandle:
        """Call after a time."""
        return asyncio.get_running_loop().call_later(delay_s, call)

    def statistics(self) -> Statistics:
        """Return what the hub has done and holds."""
        counters = self.counters
        return Statistics(
            connections=len(self.residents),
            ending=self.residents.ending,
            rooms=len(self.memberships.rooms),
            memberships=self.memberships.count(),
            groups=len(self.groups),
            group_memberships=self.groups.count(),
            dispatches=counters.dispatches,
            dispatched=counters.dispatched,
            inbox_full=counters.inbox_full,
            undispatched=counters.undispatched,
            present=len(self.attendants),
            paused=len(self.residents.stalled),
            outbox_bytes=sum(connection.outbox_size for connection in self.residents.stalled),
            pushes=counters.pushes,
            deliveries=counters.deliveries,
            flushes=counters.flushes,
            let_go=dict(counters.let_go),
            slow={room: dict(counts) for room, counts in counters.slow.items()},
            gaps=counters.gaps,
            stuck_handlers=counters.stuck_handlers,
            unhandled=counters.unhandled,
        )


def _knows_nobody(principal: str, code: int, reason: str) -> None:
    """Stand in where nobody asks who connects."""
