"""Orders: what one process has all the others do, which is to send a principal away.

All processes of a layer share one topic for it. An order travels as an event of a room does: numbered, once, and
gap-checked. Nobody is told how many connections it has ended.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Final

from ..core.names import node_topic
from ..core.policies import Retention
from ..core.ports import ProducerSeq
from .sequencer import Sequencer

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..core.names import RoomName
    from ..core.ports import Layer
    from ..core.positions import Gap, Position
    from .delivery import Topic
    from .reading import Reader
    from .statistics import Counters

__all__ = ("Orders",)

logger: logging.Logger = logging.getLogger("roomful.hub")

_TOPIC: Final = node_topic("")

_KEEP: Final = Retention(events=1024, max_bytes=1024 * 1024, ttl_s=60.0)
"""What the layer keeps, so that a process whose subscription broke reads what it missed."""


class Orders:
    """The orders to and from one hub, on one event loop; implements `Topic`.

    Args:
        layer: Carries them.
        node: What this process is called; empty where the layer reaches no other.
        topics: Where the layer's deliveries of other names than rooms are looked up.
        reader: Closes holes.
        counters: Where gaps are counted.
        revoke: Sends a principal of this process away, with a code and a reason.
    """

    def __init__(
        self,
        layer: Layer,
        node: str,
        *,
        topics: dict[RoomName, Topic],
        reader: Reader,
        counters: Counters,
        revoke: Callable[[str, int, str], None],
    ) -> None:
        self._layer = layer
        self._node = node
        self._topics = topics
        self._reader = reader
        self._counters = counters
        self._revoke = revoke
        self._order = Sequencer()
        self._number = 0

    async def start(self) -> None:
        """Take orders from now on.

        Raises:
            LayerError: The layer cannot deliver them.
        """
        if self._node:
            self._topics[_TOPIC] = self
            top = await self._layer.attach(_TOPIC)
            if not self._order.top.epoch:
                self._order.top = top

    async def revoke(self, principal: str, code: int, reason: str) -> None:
        """Have every other process send a principal away.

        Raises:
            LayerError: The layer did not take the order, or nobody can know.
        """
        if self._node:
            self._number += 1
            payload = json.dumps([self._node, principal, code, reason]).encode()
            seq = ProducerSeq(self._node, self._number)
            await self._layer.publish(_TOPIC, payload, seq=seq, keep=_KEEP)

    # ── Into this process ──

    def deliver(self, at: Position, payload: bytes) -> None:
        """Take the next order."""
        if self._order.deliver(at, payload):
            self._obey(at, payload)
        elif self._order.is_behind:
            self._read_on()

    def suspect(self) -> None:
        """Read what may have been missed."""
        self._order.suspect()
        self._read_on()

    def _read_on(self) -> None:
        self._reader.read_on(_TOPIC, self._order, pass_on=self._obey, tell=self._tell, is_needed=lambda: True)

    def _obey(self, at: Position, payload: bytes) -> None:
        try:
            node, principal, code, reason = json.loads(payload)
        except (ValueError, TypeError):
            logger.exception("order %s cannot be read", at)
            return
        if node != self._node:
            self._revoke(principal, code, reason)

    def _tell(self, gap: Gap) -> None:
        logger.warning("orders to send principals away may have been lost (%s)", gap.reason)
        self._counters.gaps += 1
