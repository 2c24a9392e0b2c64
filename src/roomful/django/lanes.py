"""Lanes: the threads in which handlers use the database, a few for all consumers of a process.

Django's ORM runs in the thread that asgiref calls *sensitive*: one for the whole process unless somebody says
otherwise, so that one slow query delays everybody. Here a handler that needs a thread gets a lane, which is a thread
with its own database connections, until it has ended. A handler's code does not change, and one that needs no thread
costs nothing.
"""

from __future__ import annotations

import asyncio
import heapq
import math
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from contextvars import ContextVar, Token
from typing import Any, Final, TypeVar

from asgiref.sync import SyncToAsync, ThreadSensitiveContext
from django.db import close_old_connections

__all__ = ("Lane", "Lanes", "Place")

T = TypeVar("T")

SWEEP_S: Final = 1.0
"""Time after its use in which a lane's old connections are closed. Django asks before and after each request; a hop to
a thread for every message would cost more than most handlers. With a `CONN_MAX_AGE` of 0 a connection lives so much
longer than its last use."""

STUCK_S: Final = 0.05
"""Time after which a call counts as slow: handlers that must share a lane take another. A query by key takes a
thousandth of a second."""

_place: ContextVar[Place | None] = ContextVar("roomful_place", default=None)


class Lane:
    """One thread.

    Attributes:
        number: The lower, the earlier it is taken.
        running: Handlers that have it. Several share one when there are more of them than lanes.
        used: Whether it has been taken since its connections were looked at.
        thread: What runs calls in the thread.
    """

    __slots__ = ("_began", "_calls", "number", "running", "thread", "used")

    def __init__(self, number: int) -> None:
        self.number: int = number
        self.running: int = 0
        self.used: bool = False
        self.thread: ThreadPoolExecutor = ThreadPoolExecutor(1, thread_name_prefix=f"roomful-lane-{number}")
        self._calls: set[Future[Any]] = set()
        self._began = math.inf

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Run a call in the thread, behind those that wait there."""
        self.used = True
        future = self.thread.submit(self._run, fn, *args, **kwargs)
        self._calls.add(future)
        # Called in the thread that ends it: the lane's, or one that cancels it where it waits.
        future.add_done_callback(self._calls.discard)
        return future

    def load(self, now: float) -> tuple[bool, int, int]:
        """Return what orders lanes by how long another handler may have to wait: the less, the sooner."""
        return now - self._began > STUCK_S, len(self._calls), self.running

    def _run(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
        self._began = time.monotonic()
        try:
            return fn(*args, **kwargs)
        finally:
            self._began = math.inf


class Place:
    """Where the handlers of one consumer are at work, one after another.

    Attributes:
        lane: The lane that the running handler has, once it has needed one.
    """

    __slots__ = ("lane",)

    def __init__(self) -> None:
        self.lane: Lane | None = None


class Lanes(Executor):
    """Gives lanes to handlers. An executor, because that is what asgiref asks for a thread.

    Args:
        count: How many; each may hold one connection to each database.
    """

    def __init__(self, count: int) -> None:
        self._lanes = [Lane(number) for number in range(count)]
        self._free = list(range(count))
        self._sweeper: tuple[asyncio.AbstractEventLoop, asyncio.TimerHandle] | None = None
        self._context = ThreadSensitiveContext()
        SyncToAsync.context_to_thread_executor[self._context] = self

    def __len__(self) -> int:
        return len(self._lanes)

    # ── For consumers ──

    def enter(self, place: Place) -> tuple[Token[Any], Token[Any]]:
        """Let what this task does from now on use a place's lane; `exit` must follow in the same context."""
        return SyncToAsync.thread_sensitive_context.set(self._context), _place.set(place)

    def exit(self, tokens: tuple[Token[Any], Token[Any]]) -> None:
        """End what `enter` has begun."""
        SyncToAsync.thread_sensitive_context.reset(tokens[0])
        _place.reset(tokens[1])

    def leave(self, place: Place, *, is_cut: bool = False) -> None:
        """Give a place's lane back, if it has one, because a handler has ended.

        Args:
            place: The place.
            is_cut: Whether the handler was cancelled, so that its thread may still be busy.
        """
        lane, place.lane = place.lane, None
        if lane is None:
            return
        loop = asyncio.get_running_loop()
        if self._sweeper is None or self._sweeper[0] is not loop:
            self._sweeper = loop, loop.call_later(SWEEP_S, self._sweep)
        if is_cut:
            # A thread cannot be stopped; nobody else gets the lane before it has ended.
            lane.thread.submit(_nothing).add_done_callback(
                lambda _: _call(loop, lambda: self._give_back(lane))
            )
        else:
            self._give_back(lane)

    @asynccontextmanager
    async def lane(self) -> AsyncIterator[Place]:
        """Run a block as a handler."""
        place = Place()
        tokens = self.enter(place)
        is_cut = False
        try:
            yield place
        except asyncio.CancelledError:
            is_cut = True
            raise
        finally:
            self.exit(tokens)
            self.leave(place, is_cut=is_cut)

    # ── For asgiref ──

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Run a call in the lane of the handler that asks for it; see `concurrent.futures.Executor`."""
        place = _place.get()
        lane = self._lanes[0] if place is None else place.lane
        if lane is None:
            assert place is not None
            lane = place.lane = self._take()
        return lane.submit(fn, *args, **kwargs)

    def _take(self) -> Lane:
        if self._free:
            lane = self._lanes[heapq.heappop(self._free)]
        else:
            now = time.monotonic()
            lane = min(self._lanes, key=lambda lane: lane.load(now))
        lane.running += 1
        return lane

    def _give_back(self, lane: Lane) -> None:
        lane.running -= 1
        if lane.running == 0:
            heapq.heappush(self._free, lane.number)

    def _sweep(self) -> None:
        self._sweeper = None
        for lane in self._lanes:
            if lane.used:
                lane.used = lane.running > 0
                lane.thread.submit(close_old_connections)
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
