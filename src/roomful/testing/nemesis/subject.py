"""The subject: the consumer that is tortured, and the settings that bring its hub to its limits quickly.

It does what a client asks for, in ways that real handlers fail too, and stores nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

import msgspec

from ... import Consumer, Event, Limits, ReplyError, on
from ...core.policies import RoomPolicy

__all__ = ("LIMITS", "POLICIES", "Ask", "Subject", "body")

LIMITS: Final = Limits(
    max_outbox_messages=40,
    max_outbox_bytes=48 * 1024,
    max_write_buffer_bytes=4 * 1024,
    max_inbox_messages=8,
    max_batch_frames=8,
    linger_s=0.1,
    handler_grace_s=0.5,
    cancel_timeout_s=0.5,
    close_timeout_s=1.0,
    drain_timeout_s=1.0,
    drain_spread_s=0.5,
)
"""Bounds so small that a member that stalls for a moment runs into them."""

POLICIES: Final[Mapping[str, RoomPolicy]] = {
    "kept:*": RoomPolicy(history=20_000, history_bytes=64 * 1024 * 1024),
    "short:*": RoomPolicy(history=20),
    "drop:*": RoomPolicy(history=20_000, history_bytes=64 * 1024 * 1024, on_slow="drop_oldest"),
    "latest:*": RoomPolicy(on_slow="conflate"),
}
"""One pattern for each way in which a room may treat its past and its slow members; `bare:*` has the default policy."""

_SLOW_S: Final = 0.05
_WAIT_S: Final = 0.2


class Ask(msgspec.Struct):
    """What a client wants done.

    Attributes:
        room: Where.
        name: What the events are called; no other message's are called so.
        how: The value of an `Act`.
        count: How many events are pushed.
        size: Characters of each.
        since: The position to join from; None for the present one.
    """

    room: str
    name: str = ""
    how: str = "post"
    count: int = 1
    size: int = 0
    since: str | None = None


def body(name: str, index: int, size: int) -> str:
    """Return the data of an event, which tells where it comes from and whether it is whole."""
    return f"{name}.{index}:".ljust(size, "x") + "."


class Subject(Consumer):
    """Mount it at a path that ends with `{rooms}`: names that are separated by commas."""

    async def connect(self, rooms: str) -> None:
        """Join the rooms that the address names; a client that comes back is resumed."""
        for room in rooms.split(","):
            await self.join(room)

    @on("ask")
    async def ask(self, data: Ask) -> list[str]:
        """Push, and return the positions."""
        if data.how == "crash":
            raise RuntimeError("planned by the nemesis")
        if data.how == "hang":
            await asyncio.Event().wait()
        if data.how == "slow":
            await asyncio.sleep(_SLOW_S)
        positions = [await self._push(data, index) for index in range(data.count)]
        if data.how == "fail":
            raise ReplyError("planned", ",".join(positions))
        if data.how == "leave":
            await self.leave(data.room)
        return positions

    @on("enter")
    async def enter(self, data: Ask) -> None:
        """Join a room later."""
        await self.join(data.room, since=data.since)

    async def _push(self, data: Ask, index: int) -> str:
        event = Event("e", body(data.name, index, data.size))
        receipt = await self.hub.push(
            data.room,
            event,
            exclude=self if data.how == "quiet" else None,
            conflate=f"{index % 3}" if data.room.startswith("latest:") else "",
            wait=data.how == "wait",
            timeout_s=_WAIT_S,
        )
        return str(receipt.position)
