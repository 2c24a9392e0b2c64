"""Memberships: joining and leaving, whatever the layer and the connection do meanwhile."""

from __future__ import annotations

import asyncio

import pytest

from roomful.core.errors import (
    ConnectionClosed,
    LayerError,
    RoomNameError,
    TooManyRooms,
)
from roomful.core.names import RoomName
from roomful.core.positions import Position
from roomful.hub.member import State
from tests.clock import passes, settled
from tests.hub.scene import Scene, outcome, soon


async def test_join_returns_where_the_room_stands(scene: Scene) -> None:
    """A member gets exactly the events after the position that its join returned, and is told the same."""
    await scene.push("lobby", "before")
    ann = await scene.member("lobby")
    await scene.push("lobby", "pending")
    bob = scene.client()

    assert (await bob.connection.join("lobby")).position == Position("e", 2)
    await scene.push("lobby", "after")
    await passes(2)

    assert ann.written == ["lobby@2 pending", "lobby@3 after"]
    assert bob.written == ["joined lobby@2", "lobby@3 after"]


async def test_second_join_of_a_room_changes_nothing(scene: Scene) -> None:
    """A member is in a room once."""
    ann = await scene.member("lobby")
    await scene.push("lobby", "a")

    assert (await ann.connection.join("lobby")).position == Position("e", 1)
    await passes()

    assert ann.written == ["lobby@1 a"]
    assert scene.engine.statistics().memberships == 1


async def test_join_says_where_it_stands_behind_what_other_rooms_owe(scene: Scene) -> None:
    """The news of a join keeps its place on the connection."""
    ann = await scene.member("lobby")
    await scene.push("lobby", "a")

    await ann.connection.join("other")

    assert ann.written == ["lobby@1 a", "joined other@0"]


async def test_joins_at_once_attach_once(scene: Scene) -> None:
    """Whoever joins while the layer attaches a room waits for the same attachment."""
    scene.layer.attach_gate = asyncio.get_running_loop().create_future()
    ann, bob = scene.client(), scene.client()
    joins = [soon(client.connection.join("lobby")) for client in (ann, bob)]
    await settled()
    assert scene.engine.statistics().rooms == 1
    assert scene.engine.statistics().memberships == 0

    scene.layer.attach_gate.set_result(None)
    await asyncio.gather(*joins)

    assert scene.layer.calls == [("start",), ("attach", "lobby")]
    assert ann.written == bob.written == ["joined lobby@0"]


async def test_event_that_overtakes_the_attachment_counts(scene: Scene) -> None:
    """An event that is delivered before `attach` has returned is the room's top, not what `attach` says."""
    scene.layer.attach_gate = asyncio.get_running_loop().create_future()
    ann = scene.client()
    join = soon(ann.connection.join("lobby"))
    await settled()
    scene.layer.attached.add(RoomName("lobby"))
    await scene.push("lobby", "early")
    scene.layer.tops[RoomName("lobby")] = 0

    scene.layer.attach_gate.set_result(None)

    assert (await join).position == Position("e", 1)


async def test_join_whose_connection_ends_meanwhile_joins_nothing(scene: Scene) -> None:
    """A join that loses its connection raises, and the room that was attached for it is detached."""
    scene.layer.attach_gate = asyncio.get_running_loop().create_future()
    ann = scene.client()
    join = soon(ann.connection.join("lobby"))
    await settled()

    ann.wire.lose(1001)
    scene.layer.attach_gate.set_result(None)

    assert isinstance(await outcome(join), ConnectionClosed)
    assert scene.layer.calls[1:] == [("attach", "lobby"), ("detach", "lobby")]
    assert scene.engine.statistics().rooms == 0


async def test_cancelled_join_disturbs_no_other(scene: Scene) -> None:
    """The attachment belongs to all who wait for it."""
    scene.layer.attach_gate = asyncio.get_running_loop().create_future()
    ann, bob = scene.client(), scene.client()
    first, second = soon(ann.connection.join("lobby")), soon(bob.connection.join("lobby"))
    await settled()
    first.cancel()
    await passes(2)
    scene.layer.attach_gate.set_result(None)

    assert isinstance(await outcome(first), asyncio.CancelledError)
    assert (await second).position == Position("e", 0)
    assert ann.connection.rooms == frozenset()


async def test_room_whose_last_join_was_cancelled_is_detached(scene: Scene) -> None:
    """When nobody waits any more the attachment is undone as soon as it is done."""
    scene.layer.attach_gate = asyncio.get_running_loop().create_future()
    ann = scene.client()
    join = soon(ann.connection.join("lobby"))
    await settled()
    join.cancel()
    await passes(2)

    scene.layer.attach_gate.set_result(None)
    await settled()

    assert scene.layer.calls[1:] == [("attach", "lobby"), ("detach", "lobby")]
    assert scene.engine.statistics().rooms == 0


async def test_join_of_a_room_whose_last_join_was_cancelled(scene: Scene) -> None:
    """Who comes while the attachment that nobody waits for is under way gets it."""
    scene.layer.attach_gate = asyncio.get_running_loop().create_future()
    ann, bob = scene.client(), scene.client()
    first = soon(ann.connection.join("lobby"))
    await settled()
    first.cancel()
    await passes(2)
    second = soon(bob.connection.join("lobby"))
    await passes(2)
    scene.layer.attach_gate.set_result(None)
    await second
    await scene.push("lobby", "a")
    await passes()

    assert bob.written == ["joined lobby@0", "lobby@1 a"]
    assert scene.layer.calls[1:] == [("attach", "lobby")]


async def test_failed_attachment_fails_each_join_and_leaves_no_room(scene: Scene) -> None:
    """When the layer cannot deliver a room nobody becomes a member of it, and the next join tries again."""
    scene.layer.attach_gate = asyncio.get_running_loop().create_future()
    ann, bob = scene.client(), scene.client()
    joins = [soon(outcome(client.connection.join("lobby"))) for client in (ann, bob)]
    await settled()
    scene.layer.attach_gate.set_exception(LayerError("down"))

    assert [str(error) for error in await asyncio.gather(*joins)] == ["down", "down"]
    assert scene.engine.statistics().rooms == 0

    scene.layer.attach_gate = None
    await ann.connection.join("lobby")
    await scene.push("lobby", "a")
    await passes()
    assert ann.written == ["joined lobby@0", "lobby@1 a"]


@pytest.mark.parametrize("delay", range(6))
async def test_join_right_after_a_failed_attachment_attaches_anew(scene: Scene, delay: int) -> None:
    """A join between the failure and its news must not become a member of a room that nothing delivers."""
    gate = scene.layer.attach_gate = asyncio.get_running_loop().create_future()
    ann, bob = scene.client(), scene.client()
    failing = soon(outcome(ann.connection.join("lobby")))
    await settled()
    gate.set_exception(LayerError("down"))
    scene.layer.attach_gate = None
    await passes(delay)

    joined = await outcome(bob.connection.join("lobby"))
    await scene.push("lobby", "a")
    await passes()

    assert isinstance(await failing, LayerError)
    if isinstance(joined, LayerError):
        assert (bob.written, scene.engine.statistics().rooms) == ([], 0)
    else:
        assert bob.written == ["joined lobby@0", "lobby@1 a"]


@pytest.mark.parametrize("name", ["", "x" * 201, "a\nb"])
async def test_join_of_what_is_no_room_name(scene: Scene, name: str) -> None:
    """The name is checked before anything else happens; the connection is not even accepted."""
    client = scene.opening()

    with pytest.raises(RoomNameError):
        await client.connection.join(name)

    assert client.connection.state is State.OPENING


async def test_connection_is_in_a_bounded_number_of_rooms(scene: Scene) -> None:
    """One client cannot make the hub keep any number of rooms; the room that was refused is not kept."""
    ann = await scene.member("a", "b", "c")

    with pytest.raises(TooManyRooms, match="connection is in 3 rooms already"):
        await ann.connection.join("d")
    await ann.connection.join("a")
    ann.connection.leave("a")
    await ann.connection.join("d")

    assert ann.connection.rooms == {"b", "c", "d"}
    assert scene.engine.statistics().rooms == 3


@pytest.mark.parametrize("what", ["join", "join_group"])
async def test_the_handshake_is_accepted_once_the_room_is_delivered(scene: Scene, what: str) -> None:
    """Whoever pushes because it has heard that a client is connected reaches that client."""
    scene.layer.attach_gate = asyncio.get_running_loop().create_future()
    client = scene.opening()
    joining = soon(getattr(client.connection, what)("lobby"))
    await passes(3)
    assert client.connection.is_opening
    scene.layer.attach_gate.set_result(None)
    await joining
    assert client.connection.is_open
    client.connected()


async def test_join_of_a_connection_that_has_ended_makes_no_room(scene: Scene) -> None:
    """Nothing is attached for who has gone."""
    client = scene.client()
    client.wire.lose()

    with pytest.raises(ConnectionClosed):
        await client.connection.join("lobby")

    assert scene.layer.calls == [("start",)]


async def test_leaving_writes_what_was_pushed_before(scene: Scene) -> None:
    """A member that leaves gets all that was pushed while it was one, and nothing after."""
    ann, bob = await scene.member("lobby"), await scene.member("lobby")
    await scene.push("lobby", "a")
    ann.connection.leave("lobby")
    await scene.push("lobby", "b")
    await passes(2)

    assert ann.written == ["lobby@1 a"]
    assert bob.written == ["lobby@1 a", "lobby@2 b"]


async def test_last_one_to_leave_detaches_the_room(scene: Scene) -> None:
    """A room without members costs nothing; to leave what one is not in is no error."""
    ann = await scene.member("lobby")
    ann.connection.leave("nowhere")
    ann.connection.leave("lobby")
    ann.connection.leave("lobby")

    assert scene.layer.calls[1:] == [("attach", "lobby"), ("detach", "lobby")]
    assert scene.engine.statistics().rooms == 0
    await ann.connection.join("lobby")
    assert ann.connection.rooms == {"lobby"}
