"""The lease of one node: the sign of life that it gives, and what it sees of those of others.

A node that is new buries nobody before it has had a lease for as long as one lasts: to it all leases have run out when
the server's clock was put forward before it came, and those who live renew theirs in that time. One that could not
renew its lease in time is new again: when the server was away, the others could not either.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, cast

from ...core.errors import LayerError
from .client import Client
from .keys import Keys

__all__ = ("BURIED", "RETIRED", "Lease", "raw", "text")

logger: Final = logging.getLogger("roomful.layer")

BURIED: Final = "!"  # behind the name of a node that is dead for good; as in roomful.lua
RETIRED: Final = "~"  # behind the name of a node that has stopped; as there
_RENEWALS: Final = 3  # in the time of one lease
_KEEPINGS: Final = 12  # while something takes long: then the renewal after it is not late


class Lease:
    """What one node has, as long as it lives, and renews.

    Args:
        client: Asks the server.
        keys: The names of keys.
        name: What the node is called.
        lease_s: Seconds after which a node that has not renewed its lease counts as dead.
        clock: A monotonic time in seconds.
    """

    def __init__(
        self, client: Client, keys: Keys, name: str, *, lease_s: float, clock: Callable[[], float]
    ) -> None:
        self._client = client
        self._leases = keys.leases
        self._name = name
        self._life = 1
        self._lease_s = lease_s
        self._lease_ms = int(lease_s * 1000)
        self._clock = clock
        self._new_since = clock()
        self._renewed_at: float | None = None

    @property
    def node(self) -> str:
        """What the node is called in this life."""
        return f"{self._name}.{self._life}"

    def begin_anew(self) -> None:
        """Take another name, as the lease under this one is gone."""
        self._life += 1
        self._renewed_at = None

    async def extend(self) -> tuple[bool, list[str]]:
        """Renew the lease, or take one; return whether there is one now, and whose have run out."""
        # By the server's clock leases run out; by this node's, which cannot jump, the server sees that its own has.
        now = self._clock()
        since_ms = -1 if self._renewed_at is None else int((now - self._renewed_at) * 1000)
        answer = await self._client.call("renew", (self._leases,), self.node, self._lease_ms, since_ms)
        answered_at = self._clock()
        if self._is_late(answered_at):
            self._new_since = answered_at
        self._renewed_at = now
        has_lease, *dead = cast("list[Any]", answer)
        return bool(has_lease), [text(node) for node in dead]

    async def pause(self) -> None:
        """Wait until it is time to renew the lease."""
        await asyncio.sleep(self._lease_s / _RENEWALS)

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
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
            with self.going_on("cannot renew its lease"):
                has_lease, _ = await self.extend()

    @contextmanager
    def going_on(self, problem: str) -> Iterator[None]:
        """Go on after whatever goes wrong, and log that."""
        try:
            yield
        except LayerError as error:
            logger.debug("node %s %s: %s", self.node, problem, error)
        except Exception:
            logger.exception("node %s %s", self.node, problem)

    async def retire(self, *, is_here: bool) -> list[str]:
        """End: let the lease run out if another node will see that; return who is to be taken back now.

        Args:
            is_here: Whether anybody is present through this node.
        """
        is_new = self._is_new or self._is_late(self._clock())
        names = await self._client.call(
            "retire", (self._leases,), self.node, self._lease_ms, int(is_here), int(is_new)
        )
        return [text(name) for name in cast("list[bytes]", names)]

    async def bury(self, name: str) -> bool:
        """Take a node for dead; return whether it is, and what it said is to be taken back."""
        if self._is_new:
            return False
        # Else it has renewed its lease, or somebody else was quicker.
        return bool(await self._client.call("bury", (self._leases,), raw(name)))

    async def forget(self, node: str) -> None:
        """Let a buried node be, as all that it said is taken back."""
        await self._client.command("ZREM", self._leases, raw(node + BURIED))

    async def defer(self, node: str) -> None:
        """See a buried node again a lease later."""
        await self._client.call("defer", (self._leases,), raw(node + BURIED), self._lease_ms)

    @property
    def _is_new(self) -> bool:
        return self._clock() - self._new_since < self._lease_s

    def _is_late(self, now: float) -> bool:
        # Half of a lease is late: another node may have been about to renew its own when this one just had.
        return self._renewed_at is None or now - self._renewed_at > self._lease_s / 2


def raw(name: str) -> bytes:
    """Return a name as the server has it."""
    return name.encode(errors="surrogateescape")


def text(name: bytes) -> str:
    """Return a name that the server has: what is no text is another name, and goes back as it came."""
    return name.decode(errors="surrogateescape")
