"""Reading: where the layer may have lost something, its history is read before anything newer is passed on.

It knows neither members nor sockets: whoever owns an order says what happens to its events and to its gaps.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from ..core.errors import LayerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..core.names import RoomName
    from ..core.ports import Layer
    from ..core.positions import Gap, Position
    from .sequencer import Sequencer

__all__ = ("Reader",)

logger: logging.Logger = logging.getLogger("roomful.hub")

_PAGE: Final = 256  # events of the history that are read at once
_RETRY_S: Final = 0.5  # after the history could not be read


class Reader:
    """Closes the holes of orders, on one event loop.

    Args:
        layer: Whose history is read.
    """

    __slots__ = ("_layer", "_reading")

    def __init__(self, layer: Layer) -> None:
        self._layer = layer
        self._reading: dict[Sequencer, asyncio.Task[None]] = {}

    def read_on(
        self,
        name: RoomName,
        order: Sequencer,
        *,
        pass_on: Callable[[Position, bytes], None],
        tell: Callable[[Gap], None],
        is_needed: Callable[[], bool],
    ) -> None:
        """Read until an order is no longer behind, or no longer needed.

        Args:
            name: Under which the layer knows it.
            order: The order.
            pass_on: Takes each event, in order.
            tell: Takes what has been missed for good, before the event behind it.
            is_needed: Whether anybody still waits for it.
        """
        if order not in self._reading:
            self._reading[order] = asyncio.Task(
                self._read(name, order, pass_on, tell, is_needed), loop=asyncio.get_running_loop()
            )

    async def finished(self, order: Sequencer) -> None:
        """Wait until nothing is read for an order any more."""
        if (task := self._reading.get(order)) is not None:
            await asyncio.wait([task])

    def stop(self) -> None:
        """Read nothing more."""
        for task in self._reading.values():
            task.cancel()

    async def _read(
        self,
        name: RoomName,
        order: Sequencer,
        pass_on: Callable[[Position, bytes], None],
        tell: Callable[[Gap], None],
        is_needed: Callable[[], bool],
    ) -> None:
        try:
            while order.is_behind and is_needed():
                try:
                    page = await self._layer.history(name, order.top, _PAGE)
                except LayerError as error:
                    logger.warning("room %r: history cannot be read: %s", name, error)
                    await asyncio.sleep(_RETRY_S)
                    continue
                gap, events = order.read(page)
                if gap is not None:
                    tell(gap)
                for at, payload in events:
                    pass_on(at, payload)
                await asyncio.sleep(0)
        finally:
            del self._reading[order]
