"""The port between processes: a layer numbers events and carries them, and keeps what the rooms' policies ask for."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from .names import RoomName
from .policies import Retention
from .positions import Position

__all__ = ("Deliver", "Layer", "Page", "ProducerSeq", "Receipt", "Suspect")


@dataclass(frozen=True, slots=True)
class ProducerSeq:
    """Which push of which producer: a layer lets each take effect once, however often it is published."""

    producer: str
    number: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a push.

    Attributes:
        position: Where the event stands in its room.
        duplicate: Whether an earlier push with the same key or sequence had taken effect already; `position` is that
            one's.
        slow: How many members of this process fell to the room's slow-consumer policy; counted where the push waited.
    """

    position: Position
    duplicate: bool = False
    slow: int = 0


@dataclass(frozen=True, slots=True)
class Page:
    """A range of a room's history.

    Attributes:
        entries: Positions and payloads, in order.
        complete: Whether nothing is missing between the position that was asked for and the first entry (without
            entries: and `top`). Between the entries nothing ever is.
        top: The room's last position when the page was read.
    """

    entries: tuple[tuple[Position, bytes], ...] = field(repr=False)
    complete: bool
    top: Position


Deliver: TypeAlias = Callable[[RoomName, Position, bytes], None]
"""Takes the next event of a room. Never raises, never blocks."""
Suspect: TypeAlias = Callable[[RoomName], None]
"""Takes the news that events of a room may have been missed."""


class Layer(Protocol):
    """Carries events between processes and numbers them.

    Order: `deliver` is called for each attached room in the order of its offsets, from the loop's thread.
    Loss: after `attach` returned position *p*, every event after *p* is delivered once, or `suspect` is called.
    Once: a push takes effect once per `seq`, and once per `key` while the layer remembers it.
    """

    shared: bool
    """Whether the layer reaches other processes."""

    async def start(self, deliver: Deliver, suspect: Suspect) -> None:
        """Begin; called once before anything else.

        Raises:
            LayerError: The layer cannot be reached or used; the text says why.
        """

    async def stop(self) -> None:
        """End: deliver nothing more and release everything. May be started again."""

    def publish(
        self,
        room: RoomName,
        payload: bytes,
        *,
        seq: ProducerSeq,
        key: str | None = None,
        keep: Retention | None = None,
    ) -> Future[Receipt]:
        """Number an event and carry it to every process. Takes effect without being awaited.

        With `keep` the event enters the room's history, from which what exceeds it goes, the oldest first.

        Awaiting it raises `LayerError` when the push did not take effect, or when nobody can know.
        """

    async def attach(self, room: RoomName) -> Position:
        """Begin to deliver a room; return the position after which everything is delivered or suspected."""

    def detach(self, room: RoomName) -> None:
        """Cease to deliver a room. Never waits."""

    async def history(self, room: RoomName, after: Position, limit: int) -> Page:
        """Return at most `limit` kept events that follow `after`, the oldest first.

        A position of an epoch that does not lead to the present one, or that has not been reached, has no entries and
        is not complete.
        """
