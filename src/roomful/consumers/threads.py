"""Threads: where handlers written with `def` run, so that they do not block the loop.

A thread cannot be stopped; one whose connection has ended is counted until it ends by itself.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

__all__ = ("Threads",)


class Threads:
    """A bounded pool; a call above its size waits for a thread.

    Attributes:
        running: Calls that wait or run, those of ended connections included.
    """

    __slots__ = ("_max", "_pool", "running")

    def __init__(self, max_threads: int) -> None:
        self.running: int = 0
        self._max = max_threads
        self._pool: ThreadPoolExecutor | None = None

    async def run(self, call: Callable[[], object]) -> object:
        """Call in a thread, in the context of the caller, and return what it returns."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._max, thread_name_prefix="roomful-handler")
        self.running += 1
        future = asyncio.get_running_loop().run_in_executor(
            self._pool, contextvars.copy_context().run, _guard, call
        )
        future.add_done_callback(self._done)
        # Shielded, so that the future ends when the thread does and not when its waiter is cancelled.
        return await asyncio.shield(future)

    def _done(self, future: asyncio.Future[object]) -> None:
        self.running -= 1
        if not future.cancelled():
            future.exception()  # nobody is left to see it when the waiter was cancelled

    def stop(self) -> None:
        """Take no more calls; threads that run are not waited for."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None


def _guard(call: Callable[[], object]) -> object:
    try:
        return call()
    except StopIteration as error:
        # A future cannot hold it; on Python 3.11 whoever awaits that future would wait for ever.
        raise RuntimeError("handler raised StopIteration") from error
