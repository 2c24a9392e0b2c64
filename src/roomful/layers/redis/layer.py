"""The Redis layer: rooms of many processes, over Redis 7, Valkey 8 or newer.

One connection publishes and asks, another one is subscribed. It decodes no payload, and it never sends a push again
that another run of the server may have taken.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, cast

from ...core.errors import LayerAway, LayerError
from ...core.names import RoomName
from ...core.policies import Retention
from ...core.ports import Deliver, Page, ProducerSeq, Receipt, Suspect
from ...core.positions import Position
from .address import Address
from .keys import Keys
from .library import function
from .line import Line, Timing, load_library
from .link import CommandError, Link
from .publisher import Bounds, Publisher, keep_text
from .subscriber import Subscriber

__all__ = ("RedisLayer", "RedisStatus")

logger: Final = logging.getLogger("roomful.layer")

_TICK_S: Final = 0.25
_SWEEP_S: Final = 60.0  # in which the top of every attached room is asked for once
_LAST_ANSWERS_S: Final = 2.0  # for which `stop` waits for pushes that are under way


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
        bounds: What may be under way, and for how long.
        timing: How patient it is with the server.
        clock: A monotonic time in seconds.

    Raises:
        LayerError: The URL names no server.
    """

    shared = True

    def __init__(
        self,
        url: str,
        *,
        prefix: str = "roomful",
        bounds: Bounds | None = None,
        timing: Timing | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.address, options = Address.parse(url)
        prefix = options.pop("prefix", prefix)
        if options:
            raise LayerError(f"URL of the layer has an unknown option {min(options)!r}")
        if "{" in prefix or not prefix:
            raise LayerError(f"prefix is {prefix!r}; expected at least one character, and no brace")
        self.node: str = secrets.token_urlsafe(9)
        self._keys = Keys(prefix)
        self._bounds = bounds or Bounds()
        self._timing = timing or Timing()
        self._clock = clock
        self._idle_ms = int(self._bounds.idle_room_s * 1000)
        self._outages = 0
        self._problem = "it is not started"
        self._publisher: Publisher | None = None
        self._subscriber: Subscriber | None = None
        self._lines: tuple[Line, ...] = ()
        self._ticking: asyncio.Task[None] | None = None
        self._reloads: dict[Link, list[Callable[[LayerError | None], None]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<RedisLayer {self.address}>"

    # ── Life ──

    async def start(self, deliver: Deliver, suspect: Suspect) -> None:
        """Connect.

        Raises:
            LayerError: The server cannot be reached or used; the text says why.
        """
        publisher = Publisher(self._keys, self._bounds, self._reload, self._clock)
        subscriber = Subscriber(self._keys, self._bounds.idle_room_s, deliver, suspect, self._reload)

        async def publishes(link: Link) -> None:
            publisher.up(link)
            self._is_up()

        async def receives(link: Link) -> None:
            subscriber.up(link)
            self._is_up()

        def refuses(reason: str) -> None:
            publisher.down(reason)
            self._is_down(reason)

        def hears_nothing(reason: str) -> None:
            subscriber.down()
            self._is_down(reason)

        commands = Line(self.address, self._timing, Link, publishes, refuses)
        events = Line(self.address, self._timing, subscriber.make_link, receives, hears_nothing)
        self._lines = (commands, events)
        self._publisher, self._subscriber = publisher, subscriber
        self._problem = "it is not connected yet"
        try:
            await commands.start()
            await events.start()
            self._is_up()
        except BaseException:
            await self.stop()
            raise
        self._ticking = asyncio.create_task(self._tick(publisher, subscriber), name="roomful-redis-tick")

    async def stop(self) -> None:
        """End, once the pushes that are under way are answered or two seconds have passed."""
        publisher, subscriber = self._publisher, self._subscriber
        if publisher is not None and self._lines and self._lines[0].link is not None:
            await publisher.emptied(_LAST_ANSWERS_S)
        if self._ticking is not None:
            self._tasks.add(self._ticking)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._tasks.clear()
        self._ticking = None
        if subscriber is not None:
            subscriber.stop()
        for line in self._lines:
            await line.stop()
        if publisher is not None:
            publisher.stop()
        self._lines, self._publisher, self._subscriber = (), None, None
        self._problem = "it was stopped"

    async def _tick(self, publisher: Publisher, subscriber: Subscriber) -> None:
        since_sweep = 0.0
        while True:
            await asyncio.sleep(_TICK_S)
            publisher.expire()
            since_sweep += subscriber.room_count * _TICK_S / _SWEEP_S
            if since_sweep >= 1:
                subscriber.sweep(int(since_sweep))
                since_sweep %= 1

    # ── The server comes and goes ──

    def _is_up(self) -> None:
        if self._problem and self._lines and all(line.link is not None for line in self._lines):
            self._problem = ""
            logger.info("layer %s is reached", self.address)

    def _is_down(self, reason: str) -> None:
        if not self._problem:
            self._outages += 1
            logger.warning("layer %s is away: %s", self.address, reason)
        self._problem = reason

    def status(self) -> RedisStatus:
        """Return how the server is, and what the layer holds."""
        publisher, subscriber = self._publisher, self._subscriber
        return RedisStatus(
            is_up=not self._problem,
            problem=self._problem,
            outages=self._outages,
            pending=publisher.pending if publisher else 0,
            attached=subscriber.room_count if subscriber else 0,
            received=subscriber.received if subscriber else 0,
            suspected=subscriber.suspected if subscriber else 0,
        )

    def _reload(self, link: Link, done: Callable[[LayerError | None], None]) -> None:
        """Load the functions again, once for all that miss them."""
        waiting = self._reloads.get(link)
        if waiting is not None:
            waiting.append(done)
            return
        self._reloads[link] = [done]

        async def load() -> None:
            problem: LayerError | None = None
            try:
                await load_library(link)
            except LayerError as error:
                problem = error
            finally:
                calls = self._reloads.pop(link)
            for call in calls:
                call(problem)

        task = asyncio.create_task(load(), name="roomful-redis-reload")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

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
        if self._publisher is None:
            raise LayerError("layer is not started")
        return self._publisher.publish(room, payload, seq, key, keep_text(keep))

    async def attach(self, room: RoomName) -> Position:
        """Begin to deliver a room.

        Raises:
            LayerAway: The server has not answered within `Bounds.answer_timeout_s`.
            LayerError: It has refused.
        """
        if self._subscriber is None:
            raise LayerError("layer is not started")
        try:
            async with asyncio.timeout(self._bounds.answer_timeout_s):
                return await self._subscriber.attach(room)
        except TimeoutError:
            raise LayerAway(
                f"room {room!r} cannot be delivered, the layer is away: {self._problem}"
            ) from None

    def detach(self, room: RoomName) -> None:
        """Cease to deliver a room; the server keeps its numbering for a while."""
        if self._subscriber is not None:
            self._subscriber.detach(room)

    async def history(self, room: RoomName, after: Position, limit: int) -> Page:
        """Return kept events that follow `after`, the oldest first, all with the room's present epoch."""
        keys = self._keys.room(room)
        names = (keys.meta, keys.stream)
        answer = await self.call("history", names, after.epoch, after.offset, limit)
        name, top, leads, *flat = cast("list[Any]", answer)
        epoch = name.decode()
        entries = tuple(
            (Position(epoch, offset), payload) for offset, payload in zip(flat[::2], flat[1::2], strict=True)
        )
        first = entries[0][0].offset - 1 if entries else top
        return Page(entries, complete=bool(leads) and first == after.offset, top=Position(epoch, top))

    async def call(self, name: str, keys: tuple[str, ...], *arguments: str | bytes | int) -> object:
        """Call a function that may be called twice; wait for the server while it is away, within the bounds.

        Raises:
            LayerAway: It has not answered in time.
            LayerError: It has refused.
        """
        if not self._lines:
            raise LayerError("layer is not started")
        has_reloaded = False
        try:
            async with asyncio.timeout(self._bounds.answer_timeout_s):
                while True:
                    link = await self._lines[0].up(self._bounds.answer_timeout_s)
                    try:
                        return await link.call("FCALL", function(name), len(keys), *keys, *arguments)
                    except LayerAway:
                        await asyncio.wait((link.lost,))
                        await asyncio.sleep(0)
                    except CommandError as error:
                        if has_reloaded or "Function not found" not in str(error):
                            raise
                        has_reloaded = True
                        await load_library(link)
        except TimeoutError:
            raise LayerAway(f"layer {self.address} is away: {self._problem}") from None
