"""Checks that a push takes effect once. Each one's docstring is the guarantee that it holds."""

from __future__ import annotations

from .layer_bench import ROOM, Bench, expect

__all__ = (
    "keeps_keys_to_their_room",
    "keeps_producers_apart",
    "takes_a_key_once",
    "takes_a_sequence_once",
    "takes_sequences_with_holes",
)


async def takes_a_sequence_once(bench: Bench) -> None:
    """A push that is published again takes no effect, and its receipt says so."""
    await bench.layer.attach(ROOM)
    await bench.publish(b"1", number=1)
    first = await bench.publish(b"2", number=2)
    again = await bench.publish(b"2", number=2)
    expect(not first.duplicate, "the first push is called a duplicate")
    expect(again.duplicate, "the second push is not called a duplicate")
    expect(
        again.position == first.position,
        f"its position is {again.position}; the first one's is {first.position}",
    )
    expect(
        (await bench.publish(b"1", number=1)).duplicate,
        "an older push that comes again is not called a duplicate",
    )
    last = await bench.publish(b"3", number=3)
    got = await bench.arrived_at(last.position)
    expect([event.payload for event in got] == [b"1", b"2", b"3"], f"deliveries are {got}")
    expect(last.position.offset == first.position.offset + 1, "the duplicate has taken an offset")


async def takes_sequences_with_holes(bench: Bench) -> None:
    """A producer numbers its pushes over all rooms, so a room sees some of the numbers."""
    await bench.layer.attach(ROOM)
    for number, room in ((3, ROOM), (4, "other"), (10, ROOM), (11, "other"), (10**12, ROOM)):
        receipt = await bench.publish(str(number).encode(), number=number, room=room)
        expect(not receipt.duplicate, f"number {number} is called a duplicate in {room!r}")
    got = await bench.arrived(3)
    expect([event.payload for event in got] == [b"3", b"10", b"1000000000000"], f"deliveries are {got}")


async def keeps_producers_apart(bench: Bench) -> None:
    """Two producers may use the same number."""
    await bench.layer.attach(ROOM)
    for number in (1, 2):
        for producer in ("one", "two"):
            receipt = await bench.publish(producer.encode(), producer=producer, number=number)
            expect(not receipt.duplicate, f"number {number} of producer {producer!r} is called a duplicate")
    got = await bench.arrived(4)
    expect([event.payload for event in got] == [b"one", b"two"] * 2, f"deliveries are {got}")


async def takes_a_key_once(bench: Bench) -> None:
    """A push with a key that was used takes no effect, and its receipt has the first one's position."""
    await bench.layer.attach(ROOM)
    first = await bench.publish(b"1", key="k")
    await bench.publish(b"2", key="another")
    again = await bench.publish(b"1", key="k")
    expect(not first.duplicate, "the first push is called a duplicate")
    expect(again.duplicate, "the second push is not called a duplicate")
    expect(
        again.position == first.position,
        f"its position is {again.position}; the first one's is {first.position}",
    )
    last = await bench.publish(b"3")
    got = await bench.arrived_at(last.position)
    expect([event.payload for event in got] == [b"1", b"2", b"3"], f"deliveries are {got}")
    expect(last.position.offset == first.position.offset + 2, "the duplicate has taken an offset")


async def keeps_keys_to_their_room(bench: Bench) -> None:
    """The same key in another room is another push."""
    await bench.layer.attach(ROOM)
    expect(not (await bench.publish(b"1", key="k")).duplicate, "the first push is called a duplicate")
    expect(
        not (await bench.publish(b"1", key="k", room="other")).duplicate,
        "a push to another room is a duplicate",
    )
