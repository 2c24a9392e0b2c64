"""Checks of presence. Each one's docstring is the guarantee that it holds."""

from __future__ import annotations

from ..core.capabilities import Change
from ..core.names import RoomName, presence_topic
from .layer_bench import ROOM, Bench, expect

__all__ = ("keeps_presence_out_of_the_room", "publishes_each_change_of_presence_once", "tells_who_is_present")

_TOPIC = presence_topic(ROOM)


async def tells_who_is_present(bench: Bench) -> None:
    """Whoever appears is an occupant of that room, with what was said last, until it disappears."""
    presence = bench.presence()
    await presence.appear(ROOM, "ann", b'{"a":1}')
    await presence.appear(ROOM, "bob é", b"")
    await presence.appear(RoomName("other"), "cat", b"c")
    await presence.appear(ROOM, "ann", b"new")
    who = (await presence.occupants(ROOM)).who
    expect(who == {"ann": b"new", "bob é": b""}, f"present are {who}")
    await presence.disappear(ROOM, "ann")
    await presence.disappear(ROOM, "nobody")
    who = (await presence.occupants(ROOM)).who
    expect(who == {"bob é": b""}, f"present are {who}")
    expect((await presence.occupants(RoomName("empty"))).who == {}, "somebody is in an empty room")


async def publishes_each_change_of_presence_once(bench: Bench) -> None:
    """Changes come under the room's presence topic, numbered one by one, and `occupants` says which it counts in."""
    presence = bench.presence()
    top = await bench.layer.attach(_TOPIC)
    await presence.appear(ROOM, "ann", b"1")
    await presence.appear(ROOM, "ann", b"1")
    await presence.appear(ROOM, "ann", b"2")
    await presence.disappear(ROOM, "ann")
    await presence.disappear(ROOM, "ann")
    last = await presence.occupants(ROOM)
    expect(
        last.at.offset == top.offset + 3, f"after {top} and three changes the occupants stand at {last.at}"
    )
    got = await bench.arrived_at(last.at, _TOPIC)
    changes = [Change.unpack(event.payload) for event in got]
    expected = [Change("ann", b"1"), Change("ann", b"2"), Change("ann", None)]
    expect(changes == expected, f"changes are {changes}")
    expect([event.at.offset - top.offset for event in got] == [1, 2, 3], "changes are numbered otherwise")


async def keeps_presence_out_of_the_room(bench: Bench) -> None:
    """Presence has a sequence of its own: the room's events are numbered as without it."""
    presence = bench.presence()
    top = await bench.layer.attach(ROOM)
    await presence.appear(ROOM, "ann", b"")
    first = await bench.publish(b"1")
    await presence.disappear(ROOM, "ann")
    last = await bench.publish(b"2")
    got = await bench.arrived_at(last.position)
    expect([event.payload for event in got] == [b"1", b"2"], f"deliveries are {got}")
    expect(first.position.offset == top.offset + 1, f"after {top} comes {first.position}")
    expect(last.position.offset == top.offset + 2, f"after {first.position} comes {last.position}")
