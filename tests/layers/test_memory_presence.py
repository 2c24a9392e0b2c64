"""Presence on the memory layer: each change once, in a sequence of its own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomful.core.capabilities import Change, Presence
from roomful.core.errors import LayerError
from roomful.core.names import RoomName, presence_topic
from roomful.core.ports import ProducerSeq
from roomful.core.positions import Position
from roomful.layers.memory import MemoryLayer

ROOM = RoomName("lobby")
TOPIC = presence_topic(ROOM)


class Scene:
    """A layer, and the changes that it publishes for the room."""

    def __init__(self) -> None:
        self.layer = MemoryLayer()
        self.changes: list[tuple[Position, Change]] = []

    async def start(self) -> Position:
        await self.layer.start(self._deliver, pytest.fail)
        return await self.layer.attach(TOPIC)

    def _deliver(self, name: RoomName, at: Position, payload: bytes) -> None:
        assert name == TOPIC
        self.changes.append((at, Change.unpack(payload)))


async def test_change_is_published_once_and_numbered() -> None:
    """Who is there already, with the same info, is no news; who is not there cannot go."""
    scene = Scene()
    assert isinstance(scene.layer, Presence)
    start = await scene.start()
    await scene.layer.appear(ROOM, "ada", b"1")
    await scene.layer.appear(ROOM, "ada", b"1")
    await scene.layer.appear(ROOM, "ada", b"2")
    await scene.layer.disappear(ROOM, "bob")
    await scene.layer.disappear(ROOM, "ada")
    await scene.layer.disappear(ROOM, "ada")

    assert [change for _, change in scene.changes] == [
        Change("ada", b"1"),
        Change("ada", b"2"),
        Change("ada", None),
    ]
    assert [at for at, _ in scene.changes] == [Position(start.epoch, offset) for offset in (1, 2, 3)]


@given(
    st.lists(st.tuples(st.sampled_from(["ada", "bob"]), st.sampled_from([None, b"", b"x\ny"])), max_size=20)
)
async def test_occupants_are_what_the_changes_add_up_to(said: list[tuple[str, bytes | None]]) -> None:
    """Whoever applies the changes up to the position of an answer knows the same as the answer."""
    scene = Scene()
    start = await scene.start()
    known: dict[str, bytes] = {}
    for who, info in said:
        await (scene.layer.disappear(ROOM, who) if info is None else scene.layer.appear(ROOM, who, info))
        occupants = await scene.layer.occupants(ROOM)
        while scene.changes:
            at, change = scene.changes.pop(0)
            start = at
            known.pop(change.who, None)
            if change.info is not None:
                known[change.who] = change.info
        assert (occupants.at, occupants.who) == (start, known)


async def test_presence_leaves_the_positions_of_its_room_alone() -> None:
    """Presence has a sequence of its own."""
    scene = Scene()
    await scene.start()
    await scene.layer.appear(ROOM, "ada", b"")
    receipt = await scene.layer.publish(ROOM, b"", seq=ProducerSeq("p", 1))

    assert receipt.position.offset == 1


async def test_layer_that_starts_anew_knows_nobody() -> None:
    """What a loop that has died said of presence is void; without a start nobody can be present."""
    scene = Scene()
    await scene.start()
    await scene.layer.appear(ROOM, "ada", b"")
    await scene.start()
    assert (await scene.layer.occupants(ROOM)).who == {}

    await scene.layer.appear(ROOM, "ada", b"")
    await scene.layer.stop()
    assert (await scene.layer.occupants(ROOM)).who == {}
    with pytest.raises(LayerError):
        await scene.layer.appear(ROOM, "ada", b"")
