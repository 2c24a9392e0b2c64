"""Commands that go to the server side by side, so many at one time that neither it nor this process is held up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Iterator
from itertools import islice
from typing import Final, TypeVar

from ...core.errors import LayerAway, LayerError

__all__ = ("AT_ONCE", "batches", "together")

AT_ONCE: Final = 128

_T = TypeVar("_T")


def batches(things: Iterable[_T]) -> Iterator[list[_T]]:
    """Yield some at a time; the next are asked for when those are done with."""
    rest = iter(things)
    while some := list(islice(rest, AT_ONCE)):
        yield some


async def together(commands: Iterable[Awaitable[object]]) -> None:
    """Wait for all, some at once; raise what was refused first at the end, and anything else without beginning more."""
    refused: LayerError | None = None
    for some in batches(commands):
        for result in await asyncio.gather(*some, return_exceptions=True):
            if isinstance(result, LayerError) and not isinstance(result, LayerAway):
                refused = refused or result
            elif isinstance(result, BaseException):
                raise result
    if refused is not None:
        raise refused
