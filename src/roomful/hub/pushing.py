"""Pushing: what a producer in this process calls, and what it may wait for."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING

from ..core.errors import InvalidState

if TYPE_CHECKING:
    from ..core.events import Event
    from ..core.names import ConnectionId, RoomName
    from ..core.ports import Receipt
    from .engine import Engine
    from .member import Member

__all__ = ("Pushing",)


@dataclasses.dataclass(slots=True, eq=False)  # each is one push, whatever another one has seen
class _Watch:
    """A push that waits: who falls to the policy of its room meanwhile."""

    room: RoomName
    fallen: set[Member]


class Pushing:
    """Hands pushes to the delivery, and keeps a producer from starving the loop.

    Args:
        engine: Whose pushes these are; it is started when it must be.
    """

    __slots__ = ("_engine", "_in_a_row", "_watches")

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._in_a_row = 0
        self._watches: list[_Watch] = []

    async def push(
        self,
        room: str,
        message: Event | str | bytes,
        *,
        exclude: ConnectionId | None = None,
        key: str | None = None,
        conflate: str = "",
    ) -> Receipt:
        """Push, and give the loop a turn when a batch was full, or after as many pushes."""
        engine = self._engine
        if not engine.is_started or engine.loop is not asyncio.get_running_loop():
            await engine.start()
        receipt = await self.push_nowait(room, message, exclude=exclude, key=key, conflate=conflate)
        self._in_a_row += 1
        if engine.flusher.is_crowded or self._in_a_row >= engine.limits.max_batch_frames:
            # Without this a producer in a loop would starve the loop that reads and writes for everybody.
            self._in_a_row = 0
            await asyncio.sleep(0)
        return receipt

    def push_nowait(
        self,
        room: str,
        message: Event | str | bytes,
        *,
        exclude: ConnectionId | None = None,
        key: str | None = None,
        conflate: str = "",
    ) -> asyncio.Future[Receipt]:
        """Push without waiting; the future tells what became of it."""
        engine = self._engine
        engine.bind()
        if not engine.is_started:
            raise InvalidState("hub is not started; enter it with `async with hub`, or await push instead")
        return engine.delivery.publish(room, message, exclude=exclude, key=key, conflate=conflate)

    async def push_and_wait(
        self,
        room: str,
        message: Event | str | bytes,
        *,
        exclude: ConnectionId | None,
        key: str | None,
        conflate: str,
        timeout_s: float,
    ) -> Receipt:
        """Push once no member's outbox is crowded, or after `timeout_s`; tell how many fell to the room's policy."""
        engine = self._engine
        await engine.start()
        name = engine.memberships.name_of(room)
        await engine.delivery.room_to_write(name, timeout_s)
        watch = _Watch(name, set())
        self._watches.append(watch)
        try:
            receipt = await self.push_nowait(room, message, exclude=exclude, key=key, conflate=conflate)
            engine.delivery.flush(name)
        finally:
            self._watches.remove(watch)
        return dataclasses.replace(receipt, slow=len(watch.fallen))

    def fell_behind(self, member: Member, room: RoomName, policy: str) -> None:
        """Count that a room's policy was applied to a slow member: an event is skipped, or the member is let go."""
        self._engine.counters.count_slow(room, policy)
        for watch in self._watches:
            if watch.room == room:
                watch.fallen.add(member)
