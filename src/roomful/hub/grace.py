"""Grace: the time that a handler has once its connection has ended, and what comes when it is over.

It decides nothing about messages: whoever runs the handler is told to drop them, and to go on without it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..core.limits import Limits
    from ..core.names import ConnectionId
    from .statistics import Counters

__all__ = ("Grace",)

logger: logging.Logger = logging.getLogger("roomful.hub")


class Grace:
    """Lets a task run on for `Limits.handler_grace_s`, cancels it then, and gives it up if it ignores that.

    Args:
        name: The connection's id, for the log.
        task: What runs the handler.
        limits: The times.
        counters: Where stuck handlers are counted.
        drop: Called before the task is cancelled: what waits is not handled any more.
        give_up: Called when the task has not ended `Limits.cancel_timeout_s` after that.
    """

    __slots__ = ("_counters", "_drop", "_give_up", "_limits", "_name", "_task", "_timer")

    def __init__(
        self,
        name: ConnectionId,
        task: asyncio.Task[None],
        *,
        limits: Limits,
        counters: Counters,
        drop: Callable[[], None],
        give_up: Callable[[], None],
    ) -> None:
        self._name = name
        self._task = task
        self._limits = limits
        self._counters = counters
        self._drop = drop
        self._give_up = give_up
        self._timer = asyncio.get_running_loop().call_later(limits.handler_grace_s, self._cancel)

    def stop(self) -> None:
        """Know that the handler has ended."""
        self._timer.cancel()

    def _cancel(self) -> None:
        self._drop()
        self._timer = asyncio.get_running_loop().call_later(self._limits.cancel_timeout_s, self._abandon)
        self._task.cancel()

    def _abandon(self) -> None:
        logger.error(
            "connection %s: handler ignores its cancellation for %s s",
            self._name,
            self._limits.cancel_timeout_s,
        )
        self._counters.stuck_handlers += 1
        self._task.add_done_callback(self._came_unstuck)
        self._give_up()

    def _came_unstuck(self, _task: asyncio.Task[None]) -> None:
        self._counters.stuck_handlers -= 1
