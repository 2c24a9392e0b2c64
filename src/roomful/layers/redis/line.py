"""A connection that is made again whenever it ends, and that is asked every second whether it lives.

A stalled server and a half-open TCP connection look like quiet ones, so each is pinged: the answer stands behind all
that the server has sent before. What was under way when a link ended is its owner's to send again.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ...core.errors import LayerAway, LayerError
from .address import Address
from .library import SOURCE, function
from .link import CommandError, Link, connect

__all__ = ("Line", "Timing", "load_library")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How patient a layer is with its server.

    Attributes:
        connect_timeout_s: Seconds for a connection to be made and let in.
        ping_interval_s: Seconds from one ping to the next.
        ping_timeout_s: Seconds for its answer, and for that of every command before it.
        max_backoff_s: Seconds between two attempts to connect, at most.
        lease_s: Seconds after which a node that gives no sign of life counts as dead, for presence.
    """

    connect_timeout_s: float = 2.0
    ping_interval_s: float = 1.0
    ping_timeout_s: float = 2.0
    max_backoff_s: float = 0.3
    lease_s: float = 6.0


class Line:
    """Keeps a link to the server.

    Args:
        address: The server.
        timing: How patient it is.
        make_link: Makes a link that is not connected.
        is_up: Takes each new link before anybody else; it may await.
        is_down: Takes the reason for which the link has ended, or why there is still none.
    """

    def __init__(
        self,
        address: Address,
        timing: Timing,
        make_link: Callable[[], Link],
        is_up: Callable[[Link], Awaitable[None]],
        is_down: Callable[[str], None],
    ) -> None:
        self.link: Link | None = None
        self._address = address
        self._timing = timing
        self._make_link = make_link
        self._is_up = is_up
        self._is_down = is_down
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._hurry = asyncio.Event()

    async def start(self) -> None:
        """Connect, and keep connected from now on.

        Raises:
            LayerError: The server cannot be reached or used.
        """
        link = await self._connected()
        self._task = asyncio.create_task(self._keep(link), name="roomful-redis")

    async def stop(self) -> None:
        """End the link, for good."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait((task,))
        if self.link is not None:
            self.link.end("layer was stopped")
            self.link = None

    def hurry(self) -> None:
        """Try to connect now: somebody else has reached the server."""
        self._hurry.set()

    async def up(self, timeout_s: float) -> Link:
        """Return the link, once there is one.

        Raises:
            LayerAway: There is none within the time.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while self.link is None:
                    self._changed.clear()
                    await self._changed.wait()
                return self.link
        except TimeoutError:
            raise LayerAway(f"{self._address} is away") from None

    async def _connected(self) -> Link:
        link = self._make_link()
        await connect(self._address, link, timeout_s=self._timing.connect_timeout_s)
        try:
            async with asyncio.timeout(self._timing.connect_timeout_s):
                await load_library(link)
                await self._is_up(link)
        except TimeoutError:
            link.end("no answer")
            raise LayerAway(f"{self._address} does not answer") from None
        except BaseException:
            link.end("not usable")
            raise
        self.link = link
        self._changed.set()
        return link

    async def _keep(self, link: Link | None) -> None:
        attempts = 0
        while True:
            if link is not None:
                attempts = 0
                reason = await self._watched(link)
                self.link = link = None
                self._is_down(reason)
            if attempts:
                longest = min(0.05 * 2**attempts, self._timing.max_backoff_s)
                pause_s = longest * random.uniform(0.5, 1)  # noqa: S311 -- spreads attempts, no secret
                self._hurry.clear()
                await _set_or_over(self._hurry, pause_s)
            attempts = min(attempts + 1, 10)
            try:
                link = await self._connected()
            except LayerError as error:
                self._is_down(str(error))

    async def _watched(self, link: Link) -> str:
        timing = self._timing
        while True:
            ping = link.call("PING", "1")
            ping.add_done_callback(_looked_at)
            done, _ = await asyncio.wait(
                (ping, link.lost), timeout=timing.ping_timeout_s, return_when="FIRST_COMPLETED"
            )
            if not done:
                link.end(f"no answer within {timing.ping_timeout_s} s")
            await asyncio.wait((link.lost,), timeout=timing.ping_interval_s)
            if link.lost.done():
                return link.lost.result()


async def _set_or_over(event: asyncio.Event, timeout_s: float) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        return


def _looked_at(future: asyncio.Future[object]) -> None:
    if not future.cancelled():
        future.exception()


async def load_library(link: Link) -> None:
    """Make sure that the server has our functions, and learn which run of which server it is.

    Raises:
        LayerError: It takes no functions: a replica, or a user that may not load them.
    """
    for attempt in range(2):
        try:
            link.identity = await link.call("FCALL", function("hello"), 0)
            return
        except CommandError as error:
            if attempt or "not found" not in str(error):
                raise LayerError(f"functions cannot be used: {error}") from None
        try:
            await link.call("FUNCTION", "LOAD", "REPLACE", SOURCE)
        except CommandError as error:
            raise LayerError(f"functions cannot be loaded: {error}") from None
