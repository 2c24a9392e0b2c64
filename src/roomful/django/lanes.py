"""Lanes: the threads in which handlers use the database, a few for all consumers of a process.

Django's ORM runs in the thread that asgiref calls *sensitive*: one for the whole process unless somebody says
otherwise, so that one slow query delays everybody. Here each running handler has a lane, which is a thread with its
own database connections, and the next handler takes one that is free. A handler's code does not change.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from contextvars import Token
from typing import Final

from asgiref.sync import SyncToAsync, ThreadSensitiveContext
from django.db import close_old_connections

__all__ = ("Lane", "Lanes")

SWEEP_S: Final = 1.0
"""Time after a handler in which its lane's old connections are closed. Django asks before and after each request; a hop
to a thread for every message costs more than most handlers."""


class Lane:
    """One thread, while a handler has it.

    Attributes:
        number: The lower, the earlier it is taken.
        running: Handlers that have it. Several share one when there are more handlers than lanes.
        used: Whether it has been taken since its connections were looked at.
    """

    __slots__ = ("context", "number", "running", "used")

    def __init__(self, number: int) -> None:
        self.number = number
        self.context = ThreadSensitiveContext()
        self.running = 0
        self.used = False

    @property
    def executor(self) -> Executor | None:
        """Its thread, once something has run there."""
        return SyncToAsync.context_to_thread_executor.get(self.context)


class Lanes:
    """Gives lanes to handlers.

    Args:
        count: How many; each may hold one connection to each database.
    """

    def __init__(self, count: int) -> None:
        self._lanes = [Lane(number) for number in range(count)]
        self._free = list(range(count))
        self._next = 0
        self._sweeper: tuple[asyncio.AbstractEventLoop, asyncio.TimerHandle] | None = None

    def __len__(self) -> int:
        return len(self._lanes)

    def enter(self) -> tuple[Lane, Token[ThreadSensitiveContext]]:
        """Take a lane for the running task; `leave` must follow in the same context."""
        if self._free:
            lane = self._lanes[heapq.heappop(self._free)]
        else:
            lane = self._lanes[self._next]
            self._next = (self._next + 1) % len(self._lanes)
        lane.running += 1
        lane.used = True
        return lane, SyncToAsync.thread_sensitive_context.set(lane.context)

    def leave(self, taken: tuple[Lane, Token[ThreadSensitiveContext]], *, is_cut: bool = False) -> None:
        """Give a lane back.

        Args:
            taken: What `enter` returned.
            is_cut: Whether the handler was cancelled, so that its thread may still be busy.
        """
        lane, token = taken
        SyncToAsync.thread_sensitive_context.reset(token)
        loop = asyncio.get_running_loop()
        if self._sweeper is None or self._sweeper[0] is not loop:
            self._sweeper = loop, loop.call_later(SWEEP_S, self._sweep)
        executor = lane.executor if is_cut else None
        if executor is None:
            self._give_back(lane)
        else:
            # A thread cannot be stopped; nobody else gets the lane before it has ended.
            executor.submit(_nothing).add_done_callback(lambda _: _call(loop, lambda: self._give_back(lane)))

    @asynccontextmanager
    async def lane(self) -> AsyncIterator[None]:
        """Run a block in a lane."""
        taken = self.enter()
        try:
            yield
        except asyncio.CancelledError:
            self.leave(taken, is_cut=True)
            raise
        except BaseException:
            self.leave(taken)
            raise
        self.leave(taken)

    def _give_back(self, lane: Lane) -> None:
        lane.running -= 1
        if lane.running == 0:
            heapq.heappush(self._free, lane.number)

    def _sweep(self) -> None:
        self._sweeper = None
        for lane in self._lanes:
            if lane.used:
                lane.used = lane.running > 0
                if lane.executor is not None:
                    lane.executor.submit(close_old_connections)
        if any(lane.used for lane in self._lanes):
            loop = asyncio.get_running_loop()
            self._sweeper = loop, loop.call_later(SWEEP_S, self._sweep)


def _call(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    try:
        loop.call_soon_threadsafe(call)
    except RuntimeError:
        call()  # the loop has been closed meanwhile; nobody else is at work there


def _nothing() -> None:
    """Do nothing, behind what a thread is doing."""
