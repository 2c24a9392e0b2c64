"""Checks of a layer's order. Each one's docstring is the guarantee that it holds."""

from __future__ import annotations

import asyncio
import threading

from ..core.names import RoomName
from ..core.ports import Receipt
from .layer_bench import ROOM, Bench, Delivered, expect

__all__ = (
    "delivers_in_the_order_of_offsets",
    "delivers_in_the_thread_of_the_loop",
    "delivers_payloads_unchanged",
    "keeps_rooms_apart",
    "numbers_events_one_by_one",
    "takes_pushes_while_it_delivers",
)

_MANY = 200
_PAYLOADS = (b"x", b"", bytes(range(256)) * 3, b"\x00", bytes(1_000_000), b"\r\n$-1\r\n")


async def numbers_events_one_by_one(bench: Bench) -> None:
    """A room's events have the offsets that follow its position, in one epoch."""
    top = await bench.layer.attach(ROOM)
    for number in range(1, 6):
        at = (await bench.publish()).position
        expect(
            at.epoch == top.epoch, f"event {number} is of epoch {at.epoch!r}; the room is of {top.epoch!r}"
        )
        expect(at.offset == top.offset + number, f"event {number} after {top} is at {at}")


async def delivers_in_the_order_of_offsets(bench: Bench) -> None:
    """Events come in the order of their offsets, each once, as their receipts say."""
    await bench.layer.attach(ROOM)
    receipts = await asyncio.gather(*(bench.publish(str(number).encode()) for number in range(_MANY)))
    last = await bench.publish(b"last")
    got = await bench.arrived_at(last.position)
    positions = [receipt.position for receipt in receipts]
    expect([event.at for event in got[:-1]] == positions, "deliveries and receipts differ")
    expect(
        [event.payload for event in got[:-1]] == [str(n).encode() for n in range(_MANY)],
        "payloads are mixed up",
    )
    expect(positions == sorted(positions, key=lambda at: at.offset), "pushes of one producer changed places")


async def delivers_payloads_unchanged(bench: Bench) -> None:
    """Any bytes, none or a megabyte, come as they were published."""
    await bench.layer.attach(ROOM)
    for payload in _PAYLOADS:
        await bench.publish(payload)
    got = await bench.arrived(len(_PAYLOADS))
    for payload, event in zip(_PAYLOADS, got, strict=False):
        expect(event.payload == payload, f"{payload[:20]!r} came as {event.payload[:20]!r}")


async def keeps_rooms_apart(bench: Bench) -> None:
    """Each room has its own numbers, and its events come under its name."""
    rooms = [RoomName(name) for name in ("a", "A", "a b", "a:b", "{a}", "é" * 100)]
    tops = {room: await bench.layer.attach(room) for room in rooms}
    last: dict[RoomName, Receipt] = {}
    for turn in range(5):
        for room in rooms:
            last[room] = await bench.publish(f"{room} {turn}".encode(), room=room)
    for room in rooms:
        got = await bench.arrived_at(last[room].position, room)
        expect(
            [event.payload for event in got] == [f"{room} {n}".encode() for n in range(5)],
            f"{room!r} got {got}",
        )
        expect(
            [event.at.offset for event in got] == [tops[room].offset + n for n in range(1, 6)],
            f"{room!r} is numbered {[event.at.offset for event in got]}",
        )


async def delivers_in_the_thread_of_the_loop(bench: Bench) -> None:
    """`deliver` and `suspect` are called in the thread of the event loop."""
    await bench.layer.attach(ROOM)
    await bench.publish()
    await bench.arrived(1)
    expect(bench.threads == {threading.get_ident()}, "deliver was called in another thread")


async def takes_pushes_while_it_delivers(bench: Bench) -> None:
    """A push from within `deliver` is numbered behind the event that is delivered."""

    def answer(event: Delivered) -> None:
        if event.payload == b"question":
            answers.append(bench.publish(b"answer"))

    answers: list[asyncio.Future[Receipt]] = []
    bench.on_delivery = answer
    await bench.layer.attach(ROOM)
    question = await bench.publish(b"question")
    got = await bench.arrived(2)
    expect([event.payload for event in got] == [b"question", b"answer"], f"deliveries are {got}")
    expect(
        (await answers[0]).position.offset == question.position.offset + 1, "the answer is numbered otherwise"
    )
