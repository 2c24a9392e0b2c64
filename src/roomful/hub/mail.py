"""Mail: messages to a connection of another process, and the order to close one.

Each process has a topic of its own on a layer that it shares, and its connections' ids end with that topic's name. What
is sent travels as an event of a room does: numbered, once, and gap-checked. Nobody is told whether the connection still
lives.
"""

from __future__ import annotations

import logging
import secrets
from typing import TYPE_CHECKING, Final

from ..core.envelope import Envelope, Form
from ..core.errors import ConnectionClosed, LayerError
from ..core.names import ConnectionId, node_of, node_topic
from ..core.policies import Retention
from ..core.ports import ProducerSeq
from .sequencer import Sequencer

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..core.events import Event
    from ..core.names import RoomName
    from ..core.ports import Codec, Layer
    from ..core.positions import Gap, Position
    from .connection import Connection
    from .delivery import Topic
    from .reading import Reader
    from .statistics import Counters

__all__ = ("Mail",)

logger: logging.Logger = logging.getLogger("roomful.hub")

_KEEP: Final = Retention(events=1024, max_bytes=4 * 1024 * 1024, ttl_s=60.0)
"""What the layer keeps, so that a process whose subscription broke reads what it missed."""

_SEND: Final = b"s"
_CLOSE: Final = b"c"


class Mail:
    """The mail of one hub, on one event loop; implements `Topic`.

    Args:
        layer: Carries it.
        codec: Encodes messages.
        topics: Where the layer's deliveries of other names than rooms are looked up.
        reader: Closes holes.
        counters: Where gaps are counted.
        find: Returns a connection by its id.

    Attributes:
        node: What this process is called; empty where the layer reaches no other.
    """

    def __init__(
        self,
        layer: Layer,
        codec: Codec,
        *,
        topics: dict[RoomName, Topic],
        reader: Reader,
        counters: Counters,
        find: Callable[[ConnectionId], Connection | None],
    ) -> None:
        self.node: str = secrets.token_urlsafe(6) if layer.shared else ""
        self._layer = layer
        self._codec = codec
        self._topics = topics
        self._reader = reader
        self._counters = counters
        self._find = find
        self._order = Sequencer()
        self._number = 0

    async def start(self) -> None:
        """Take mail from now on.

        Raises:
            LayerError: The layer cannot deliver it.
        """
        if self.node:
            self._topics[node_topic(self.node)] = self
            top = await self._layer.attach(node_topic(self.node))
            if not self._order.top.epoch:
                self._order.top = top

    # ── Out of this process ──

    def is_for_another(self, connection_id: ConnectionId) -> bool:
        """Return whether a connection with this id is, or was, of another process."""
        return bool(self.node) and node_of(connection_id) not in {"", self.node}

    async def send(self, connection_id: ConnectionId, message: Event | str | bytes) -> None:
        """Send to a connection of another process.

        Raises:
            NotEncodable: The event's data cannot be written as JSON.
            LayerError: The layer did not take it, or nobody can know.
        """
        form, body = self._codec.pack(message)
        await self._post(connection_id, _SEND, Envelope(form, body, connection_id))

    async def close(self, connection_id: ConnectionId, code: int, reason: str) -> None:
        """Have a connection of another process closed.

        Raises:
            LayerError: The layer did not take it, or nobody can know.
        """
        await self._post(
            connection_id, _CLOSE, Envelope(Form.TEXT, f"{code} {reason}".encode(), connection_id)
        )

    async def _post(self, connection_id: ConnectionId, kind: bytes, envelope: Envelope) -> None:
        node = node_of(connection_id)
        self._number += 1
        seq = ProducerSeq(self.node, self._number)
        await self._layer.publish(node_topic(node), kind + envelope.pack(), seq=seq, keep=_KEEP)

    # ── Into this process ──

    def deliver(self, at: Position, payload: bytes) -> None:
        """Take the next piece of mail."""
        if self._order.deliver(at, payload):
            self._open(at, payload)
        elif self._order.is_behind:
            self._read_on()

    def suspect(self) -> None:
        """Read what may have been missed."""
        self._order.suspect()
        self._read_on()

    def _read_on(self) -> None:
        self._reader.read_on(
            node_topic(self.node),
            self._order,
            pass_on=self._open,
            tell=self._tell,
            is_needed=lambda: True,
        )

    def _open(self, at: Position, payload: bytes) -> None:
        try:
            envelope = Envelope.unpack(payload[1:])
        except LayerError:
            logger.exception("mail %s cannot be read", at)
            return
        connection = None if envelope.exclude is None else self._find(envelope.exclude)
        if connection is None:
            return  # it has ended
        try:
            if payload[:1] == _SEND:
                connection.send_packed(envelope)
            elif payload[:1] == _CLOSE:
                code, _, reason = bytes(envelope.body).decode().partition(" ")
                connection.close(int(code), reason)
        except ConnectionClosed:
            logger.debug("connection %s ends; what was sent to it is dropped", connection.id)

    def _tell(self, gap: Gap) -> None:
        # To whom it was addressed nobody can know.
        logger.warning("messages to connections of this process were lost (%s)", gap.reason)
        self._counters.gaps += 1
