"""The connection that publishes and asks, kept up and watched.

It has no subscription: a producer outside the web process needs no more than this.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from ...core.errors import LayerAway, LayerError
from ...core.names import RoomName
from ...core.ports import ProducerSeq, Receipt
from .address import Address
from .keys import Keys
from .library import function
from .line import Line, Timing, load_library
from .link import CommandError, Link
from .publisher import Bounds, Publisher

__all__ = ("Client", "Reloads")

_TICK_S: Final = 0.25
_LAST_ANSWERS_S: Final = 2.0  # for which `stop` waits for pushes that are under way


class Reloads:
    """Loads the functions again where the server has lost them: once for all that miss them."""

    def __init__(self) -> None:
        self._waiting: dict[Link, list[Callable[[LayerError | None], None]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def load(self, link: Link, done: Callable[[LayerError | None], None]) -> None:
        """Load them, then call back with what went wrong, or None."""
        waiting = self._waiting.setdefault(link, [])
        waiting.append(done)
        if len(waiting) == 1:
            task = asyncio.create_task(self._load(link), name="roomful-redis-reload")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _load(self, link: Link) -> None:
        problem: LayerError | None = None
        try:
            await load_library(link)
        except LayerError as error:
            problem = error
        finally:
            calls = self._waiting.pop(link)
        for call in calls:
            call(problem)

    async def stop(self) -> None:
        """Load nothing more."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)


class Client:
    """Publishes and calls functions.

    Args:
        address: The server.
        keys: The names of keys.
        bounds: What may be under way, and for how long.
        timing: How patient it is with the server.
        is_up: Told that there is a connection.
        is_down: Told why there is none.
        clock: A monotonic time in seconds.
    """

    def __init__(
        self,
        address: Address,
        keys: Keys,
        *,
        bounds: Bounds,
        timing: Timing,
        is_up: Callable[[], None],
        is_down: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.reloads: Reloads = Reloads()
        self.publisher: Publisher = Publisher(keys, bounds, self.reloads.load, clock)
        self._address = address
        self._bounds = bounds
        self._tell_up = is_up
        self._tell_down = is_down
        self._line = Line(address, timing, Link, self._up, self._down)
        self._ticking: asyncio.Task[None] | None = None

    @property
    def is_up(self) -> bool:
        """Whether there is a connection."""
        return self._line.link is not None

    def hurry(self) -> None:
        """Try to connect now."""
        self._line.hurry()

    async def start(self) -> None:
        """Connect.

        Raises:
            LayerError: The server cannot be reached or used.
        """
        await self._line.start()
        self._tell_up()
        self._ticking = asyncio.create_task(self._tick(), name="roomful-redis-tick")

    async def stop(self) -> None:
        """End, once the pushes that are under way are answered or two seconds have passed."""
        if self.is_up:
            await self.publisher.emptied(_LAST_ANSWERS_S)
        if self._ticking is not None:
            self._ticking.cancel()
            await asyncio.wait((self._ticking,))
            self._ticking = None
        await self.reloads.stop()
        await self._line.stop()
        self.publisher.stop()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            self.publisher.expire()

    async def _up(self, link: Link) -> None:
        self.publisher.up(link)
        if self._ticking is not None:
            asyncio.get_running_loop().call_soon(self._tell_up)  # once the line has the link

    def _down(self, reason: str) -> None:
        self.publisher.down(reason)
        self._tell_down(reason)

    def publish(
        self, room: RoomName, payload: bytes, seq: ProducerSeq, *, key: str | None, keep: str
    ) -> asyncio.Future[Receipt]:
        """Publish; see `RedisLayer.publish`."""
        return self.publisher.publish(room, payload, seq, key, keep)

    async def call(self, name: str, keys: tuple[str | bytes, ...], *arguments: str | bytes | int) -> object:
        """Call a function that may be called twice; wait for the server while it is away, within the bounds.

        Raises:
            LayerAway: It has not answered in time.
            LayerError: It has refused.
        """
        return await self.command("FCALL", function(name), len(keys), *keys, *arguments)

    async def command(self, *command: str | bytes | int, twice: bool = True) -> object:
        """Send a command; wait for the server while it is away, within the bounds.

        Args:
            command: The command.
            twice: Whether it may be sent again when its answer was lost.

        Raises:
            LayerAway: It has not answered in time, or its answer was lost and it may not be sent again.
            LayerError: It has refused.
        """
        has_reloaded = False
        try:
            async with asyncio.timeout(self._bounds.answer_timeout_s):
                while True:
                    link = await self._line.up(self._bounds.answer_timeout_s)
                    try:
                        return await link.call(*command)
                    except CommandError as error:
                        if has_reloaded or "Function not found" not in str(error):
                            raise
                        has_reloaded = True
                        await load_library(link)
                    except LayerAway:
                        if not twice:
                            raise
                        await asyncio.wait((link.lost,))
                        await asyncio.sleep(0)
        except TimeoutError:
            raise LayerAway(f"layer {self._address} does not answer") from None
