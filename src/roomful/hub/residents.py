"""The residents: a hub's connections, from the first to the last that is known of each."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from ..core.errors import UnknownConnection
from .liveness import Liveness

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..core.limits import Limits
    from ..core.names import ConnectionId
    from .connection import Connection
    from .member import Member
    from .statistics import Counters
    from .throttle import Throttle

__all__ = ("Residents",)

logger: logging.Logger = logging.getLogger("roomful.hub")


class Residents:
    """Knows who lives and whose consumer still ends, and sees to it that they stay alive.

    Args:
        limits: The bounds.
        counters: Of the hub.
        throttle: Of the hub's log.
        gone: Told of each whose socket has ended.

    Attributes:
        stalled: Those whose transport is full.
    """

    __slots__ = (
        "_all_ended",
        "_counters",
        "_ending",
        "_gone",
        "_liveness",
        "_living",
        "_throttle",
        "stalled",
    )

    def __init__(
        self, limits: Limits, counters: Counters, throttle: Throttle, gone: Callable[[Connection], None]
    ) -> None:
        self.stalled: set[Member] = set()
        self._living: dict[ConnectionId, Connection] = {}
        self._ending: set[Member] = set()
        self._counters = counters
        self._throttle = throttle
        self._gone = gone
        self._liveness = Liveness(limits, self.stalled)
        self._all_ended: asyncio.Event | None = None

    def __len__(self) -> int:
        return len(self._living)

    def __iter__(self) -> Iterator[Connection]:
        """Those that live, as of now: they may end while they are looked at."""
        return iter(list(self._living.values()))

    @property
    def ending(self) -> int:
        """How many have lost their socket while something of them still runs."""
        return len(self._ending)

    def add(self, connection: Connection) -> None:
        """Take a new one in."""
        self._living[connection.id] = connection

    def get(self, connection_id: ConnectionId) -> Connection | None:
        """Return one by its id, or None."""
        return self._living.get(connection_id)

    def find(self, connection_id: ConnectionId) -> Connection:
        """Return one by its id.

        Raises:
            UnknownConnection: None that lives has this id.
        """
        connection = self._living.get(connection_id)
        if connection is None:
            raise UnknownConnection(connection_id)
        return connection

    def is_known(self, member: Member) -> bool:
        """Whether one lives, or something of it still runs."""
        return member.id in self._living or member in self._ending

    async def emptied(self, timeout_s: float) -> bool:
        """Wait until nothing of any of them runs; return whether that was so in time."""
        try:
            async with asyncio.timeout(timeout_s):
                while self._living or self._ending:
                    if self._all_ended is None or self._all_ended.is_set():
                        self._all_ended = asyncio.Event()  # shared: a drain may wait when the hub is closed
                    await self._all_ended.wait()
        except TimeoutError:
            return False
        return True

    def stop(self) -> None:
        """Watch over nobody any more."""
        self._liveness.stop()

    # ── What each of them tells ──

    def accepted(self, member: Member) -> None:
        """Watch over one whose handshake has been accepted."""
        self._liveness.watch(member)

    def paused(self, member: Member) -> None:
        """Know that its transport is full."""
        self.stalled.add(member)

    def flowing(self, member: Member) -> None:
        """Know that its transport is full no longer."""
        self.stalled.discard(member)

    def count_let_go(self, member: Member, why: str) -> None:
        """Count one that is let go, and say so once a second."""
        let_go = self._counters.let_go
        let_go[why] = let_go.get(why, 0) + 1
        left_out = self._throttle.admit(why, asyncio.get_running_loop().time())
        if left_out == 0:
            logger.warning("connection %s let go: %s", member.id, why)
        elif left_out is not None:
            logger.warning(
                "connection %s let go: %s (and %d more since the last such line)", member.id, why, left_out
            )

    def lost(self, member: Member) -> None:
        """Know that its socket has ended."""
        connection = self._living.pop(member.id, None)
        self.stalled.discard(member)
        self._liveness.forget(member)
        if connection is not None:
            self._gone(connection)
        self._ending.add(member)

    def ended(self, member: Member) -> None:
        """Know that nothing of it runs any more."""
        self._ending.discard(member)
        member.finished()
        if self._all_ended is not None and not self._living and not self._ending:
            self._all_ended.set()
