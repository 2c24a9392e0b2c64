"""Waiting for a condition that tells nobody when it becomes true."""

import asyncio
from collections.abc import Callable

__all__ = ("until",)


async def until(condition: Callable[[], bool], *, timeout_s: float = 5.0) -> None:
    """Return once the condition holds.

    Raises:
        TimeoutError: It does not.
    """
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 -- it is about counters or another process, which set no event
            await asyncio.sleep(0.001)
