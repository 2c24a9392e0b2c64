"""The application of the figures: members of rooms, and a source that pushes as it is told."""

from __future__ import annotations

import asyncio
import gc
import time

import msgspec

from roomful import Consumer, Event, Hub, on
from roomful.core.policies import RoomPolicy
from roomful.routing import ProtocolTypeRouter, URLRouter, route

__all__ = ("app",)

hub = Hub(
    rooms={
        "kept:*": RoomPolicy(history=100_000, history_bytes=256 * 1024 * 1024),
        "drop_oldest:*": RoomPolicy(on_slow="drop_oldest"),
        "conflate:*": RoomPolicy(on_slow="conflate"),
    }
)


class Order(msgspec.Struct):
    """What a source pushes.

    Attributes:
        room: Where.
        count: How many events.
        size: Characters of each.
        wait: Whether each push waits for slow members, and how long in seconds; 0 for not.
        keys: How many conflation keys the events have; 0 for none.
        raw: Whether texts are pushed instead of events.
        collects: Whether garbage is collected before, so that none of it is counted.
    """

    room: str
    count: int
    size: int
    wait: float = 0.0
    keys: int = 0
    raw: bool = False
    collects: bool = False


class Done(msgspec.Struct):
    """What became of an order: the first and last position, CPU seconds, members that fell behind while it waited."""

    first: str
    last: str
    cpu_s: float
    slow: int


class Member(Consumer):
    """Gets what is pushed to its room."""

    async def connect(self, room: str) -> None:
        await self.join(room)


class Raw(Consumer, owns_wire=True):
    """Gets it without positions."""

    async def connect(self, room: str) -> None:
        await self.join(room)


class Source(Consumer):
    """Pushes."""

    async def connect(self) -> None:
        await self.accept()

    @on("push")
    async def pushes(self, data: Order) -> Done:
        if data.collects:
            gc.collect()
        began, slow, positions = time.process_time(), 0, []
        for number in range(data.count):
            text = f"{time.monotonic():.6f}:".ljust(data.size, "x")
            receipt = await self.hub.push(
                data.room,
                text if data.raw else Event("post", text),
                conflate=str(number % data.keys) if data.keys else "",
                wait=data.wait > 0,
                timeout_s=data.wait or 1.0,
            )
            slow += receipt.slow
            positions.append(receipt.position)
        # What is pending is written at the end of the pass, and belongs to it.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return Done(str(positions[0]), str(positions[-1]), time.process_time() - began, slow)


app = ProtocolTypeRouter(
    {
        "websocket": URLRouter(
            [
                route("/member/{room}", Member.as_asgi(hub=hub)),
                route("/raw/{room}", Raw.as_asgi(hub=hub)),
                route("/source", Source.as_asgi(hub=hub)),
            ]
        )
    },
    hub=hub,
)
