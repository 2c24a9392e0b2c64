"""Draining: connections are closed in good order, each when nothing is under way on it, spread over time.

It decides when, and knows neither rooms nor sockets.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from ..core.close_codes import CloseCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .connection import Connection

__all__ = ("drain",)

_TICK_S: Final = 0.02
_SHARE_S: Final = 0.005
"""Of the spread, for each connection: a few need not wait for seconds so that thousands do not come back at once."""


async def drain(connections: Sequence[Connection], *, timeout_s: float, spread_s: float) -> None:
    """Close connections with `CloseCode.DRAINED`, and return when each has been told.

    Each is closed behind all that was written to it, when its turn has come and its handler has finished; after
    `timeout_s` without waiting for that.

    Args:
        connections: Those that are to be closed.
        timeout_s: Seconds that handlers and outboxes have.
        spread_s: Seconds over which the closes are spread; few connections take less.
    """
    loop = asyncio.get_running_loop()
    begin = loop.time()
    spread_s = min(spread_s, len(connections) * _SHARE_S)
    waiting = list(connections)
    while waiting:
        passed_s = loop.time() - begin
        due = len(connections) if passed_s >= spread_s else int(len(connections) * passed_s / spread_s) + 1
        closed = len(connections) - len(waiting)
        left: list[Connection] = []
        for connection in waiting:
            if closed < due and (passed_s >= timeout_s or connection.is_at_rest or connection.is_lost):
                closed += 1
                _close(connection)
            else:
                left.append(connection)
        waiting = left
        if waiting:
            await asyncio.sleep(_TICK_S)


def _close(connection: Connection) -> None:
    reason = "server is going away; reconnect and resume"
    if connection.is_opening:
        connection.refuse(503, b"server is going away\n", (), reason)
    else:
        connection.close(CloseCode.DRAINED, reason)
