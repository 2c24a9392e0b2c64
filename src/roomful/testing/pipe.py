"""A pipe: what is on its way between a test client and an application, bounded as the buffers of a socket are.

It knows no protocol. What does not fit waits at its sender, so that a test sees the backpressure that a server would.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ("Pipe",)

T = TypeVar("T")

_FRAME_BYTES = 8
"""What each item counts besides its payload, so that a pipe of empty messages fills up too."""


class Pipe(Generic[T]):
    """Items in the order in which they were put.

    Args:
        max_bytes: Bytes that may be on their way before `put` waits. One item always may, however large it is.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._items: deque[tuple[T, int]] = deque()
        self._size = 0
        self._turn = asyncio.Lock()
        self._changed = asyncio.Event()
        self._broken: Callable[[], Exception] | None = None

    async def put(self, item: T, size: int) -> None:
        """Put an item behind all others; wait while it does not fit. Those that wait go in the order of their calls.

        Cancellation: an item whose `put` is cancelled is not in the pipe.
        """
        size += _FRAME_BYTES
        async with self._turn:
            while self._broken is None and self._items and self._size + size > self._max_bytes:
                await self._wait()
            if self._broken is not None:
                raise self._broken()
            self._add(item, size)

    def put_nowait(self, item: T) -> None:
        """Put an item behind all others, whatever the pipe holds: for what ends it."""
        self._add(item, _FRAME_BYTES)

    def break_off(self, why: Callable[[], Exception]) -> None:
        """Take nothing more: each `put`, those that wait included, raises what `why` returns."""
        self._broken = self._broken or why
        self._changed.set()

    async def get(self) -> T:
        """Remove and return the oldest item; wait for one.

        Cancellation: nothing is lost.
        """
        while not self._items:
            await self._wait()
        item = self.get_nowait()
        assert item is not None  # there is one
        return item

    def get_nowait(self) -> T | None:
        """Remove and return the oldest item, if there is one."""
        if not self._items:
            return None
        item, size = self._items.popleft()
        self._size -= size
        self._changed.set()
        return item

    def _add(self, item: T, size: int) -> None:
        self._items.append((item, size))
        self._size += size
        self._changed.set()

    async def _wait(self) -> None:
        self._changed.clear()
        await self._changed.wait()
