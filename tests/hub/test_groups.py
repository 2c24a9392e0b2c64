"""Groups in the hub: what is dispatched reaches each consumer in turns, once and in order, or is told."""

from __future__ import annotations

import asyncio

import pytest

from roomful.core.errors import ConnectionClosed, InboxFull, LayerError, RoomNameError, TooManyRooms
from roomful.core.events import Event
from roomful.core.limits import Limits
from roomful.core.names import RoomName, group_topic
from roomful.core.ports import Receipt
from roomful.core.positions import Position
from roomful.layers.memory import MemoryLayer
from tests.clock import after, passes, settled
from tests.hub.scene import Client, Scene, outcome, soon

TOPIC = group_topic(RoomName("alarms"))


@pytest.fixture
async def scene() -> Scene:
    return _scene()


def _scene() -> Scene:
    scene = Scene(Limits(max_dispatch_messages=2, max_dispatch_bytes=50, max_rooms_per_connection=2))
    scene.codec.takes_events = True
    return scene


async def dispatch(
    scene: Scene, text: str, group: str = "alarms", *, exclude: Client | None = None, on_full: str = "tell"
) -> Receipt:
    return await scene.engine.groups.dispatch(
        group,
        Event("raised", text),
        exclude=None if exclude is None else exclude.connection.id,
        key=None,
        on_full=on_full,  # type: ignore[arg-type] # one of the two
    )


async def consumer(scene: Scene, *groups: str) -> Client:
    client = scene.client()
    for group in groups:
        await client.connection.join_group(group)
    return client


async def finish(scene: Scene) -> None:
    await scene.assert_nothing_is_left()
    statistics = scene.engine.statistics()
    assert (statistics.groups, statistics.group_memberships) == (0, 0)
    assert scene.engine.groups._of == {}
    assert scene.engine.groups._questions == {}


async def test_who_leaves_a_group_during_its_join_is_no_member_afterwards() -> None:
    """Whoever calls `leave_group` meanwhile is heard, and the next join is one like any other."""
    scene = _scene()
    scene.layer.attach_gate = asyncio.get_running_loop().create_future()
    ann = scene.client()
    joining = soon(ann.connection.join_group("alarms"))
    await settled()
    ann.connection.leave_group("alarms")
    scene.layer.attach_gate.set_result(None)
    await joining
    assert ann.connection.groups == frozenset()
    scene.layer.attach_gate = None
    await ann.connection.join_group("alarms")
    assert ann.connection.groups == {"alarms"}
    ann.connection.leave_group("alarms")
    await finish(scene)


async def test_joins_that_are_made_at_once_do_not_exceed_the_limit() -> None:
    """What was allowed when a join began may be so no longer when the group is there."""
    scene = _scene()
    scene.layer.attach_gate = asyncio.get_running_loop().create_future()
    ann = scene.client()
    joins = [soon(outcome(ann.connection.join_group(group))) for group in ("a", "b", "c")]
    await settled()
    scene.layer.attach_gate.set_result(None)
    assert [type(await join) for join in joins] == [type(None), type(None), TooManyRooms]
    for group in ("a", "b"):
        ann.connection.leave_group(group)
    await finish(scene)


async def test_every_consumer_of_the_group_gets_it_in_order(scene: Scene) -> None:
    """All of the group, nobody else, in the order of the receipts; a room of the same name is something else."""
    ann, bob = await consumer(scene, "alarms"), await consumer(scene, "alarms", "other")
    eve = await scene.member("alarms")
    offsets = [(await dispatch(scene, text)).position.offset for text in "abc"]
    await dispatch(scene, "d", "other")
    await dispatch(scene, "e", exclude=ann)
    await dispatch(scene, "f", "nobody")
    await passes(3)

    assert offsets == [1, 2, 3]
    assert ann.handler.finished == ["a", "b", "c"]
    assert bob.handler.finished == ["a", "b", "c", "d", "e"]
    assert (eve.handler.finished, eve.written) == ([], [])
    assert bob.connection.groups == {"alarms", "other"}
    statistics = scene.engine.statistics()
    assert (statistics.groups, statistics.group_memberships) == (2, 3)
    assert (statistics.dispatches, statistics.dispatched, statistics.inbox_full) == (6, 8, 0)
    await finish(scene)


async def test_dispatches_and_messages_take_turns(scene: Scene) -> None:
    """One thing at a time, in the order in which they came, also those that came before `connect` has returned."""
    client = scene.opening()
    await client.connection.join_group("alarms")
    await dispatch(scene, "1")
    client.connection.received("2")
    await dispatch(scene, "3")
    gate = client.handler.gate = asyncio.Event()
    client.connected()
    await passes(2)
    assert client.handler.seen == ["1"]
    client.connection.received("4")
    gate.set()
    await passes(6)

    assert client.handler.finished == ["1", "2", "3", "4"]
    await dispatch(scene, "5")
    client.connection.received("6")
    await passes(6)
    assert client.handler.finished == ["1", "2", "3", "4", "5", "6"]
    await finish(scene)


async def test_handler_that_dispatches_is_not_run_inside_itself(scene: Scene) -> None:
    """A chain of consumers is as deep as it likes: each has its turn in a pass of its own."""
    clients = [await consumer(scene, f"g{number}") for number in range(300)]
    for number, client in enumerate(clients[:-1]):

        async def pass_on(number: int = number) -> None:
            await dispatch(scene, "x", f"g{number + 1}")

        client.handler.does["x"] = pass_on
    await dispatch(scene, "x", "g0")
    await passes(5 * len(clients))

    assert clients[-1].handler.finished == ["x"]
    await finish(scene)


async def test_full_inbox_is_told_with_exact_ranges(scene: Scene) -> None:
    """What did not fit stands in one notice, before what fits again; other consumers are not concerned."""
    slow, quick = await consumer(scene, "alarms"), await consumer(scene, "alarms")
    gate = slow.handler.gate = asyncio.Event()
    for text in "abcdef":
        await dispatch(scene, text)
        await passes(2)
    gate.set()
    await passes(6)
    await dispatch(scene, "g")
    await passes(6)

    assert quick.handler.seen == list("abcdefg")
    # The first runs, two wait.
    assert slow.handler.seen == ["a", "b", "c", ("alarms", "full", ((4, 6),)), "g"]
    statistics = scene.engine.statistics()
    assert (statistics.inbox_full, statistics.dispatched) == (3, 11)
    await finish(scene)


async def test_inbox_is_bounded_in_bytes_and_takes_one_of_any_size(scene: Scene) -> None:
    """A dispatch above the bound can reach a consumer at all; behind it nothing fits."""
    slow = await consumer(scene, "alarms")
    gate = slow.handler.gate = asyncio.Event()
    await dispatch(scene, "a")
    await passes(2)
    await dispatch(scene, "x" * 80)
    await dispatch(scene, "b")
    gate.set()
    await passes(6)

    assert slow.handler.seen == ["a", "x" * 80, ("alarms", "full", ((3, 3),))]
    await finish(scene)


async def test_dispatcher_that_asks_is_told_instead(scene: Scene) -> None:
    """It learns how many did not take it; those are not told, and the others have it."""
    slow, quick = await consumer(scene, "alarms"), await consumer(scene, "alarms")
    gate = slow.handler.gate = asyncio.Event()
    for text in "abc":
        await dispatch(scene, text, on_full="refuse")
        await passes(2)
    with pytest.raises(InboxFull) as caught:
        await dispatch(scene, "d", on_full="refuse")
    gate.set()
    await passes(6)
    assert (await dispatch(scene, "e", on_full="refuse")).position.offset == 5
    await passes(6)

    assert (caught.value.full, caught.value.position) == (1, Position("e", 4))
    assert quick.handler.seen == list("abcde")
    assert slow.handler.seen == list("abce")
    await dispatch(scene, "x", "nobody", on_full="refuse")
    await finish(scene)


async def test_dispatcher_that_asks_waits_for_the_delivery_and_not_for_ever(scene: Scene) -> None:
    """A layer that delivers later is waited for; one that never does is not."""
    slow = await consumer(scene, "alarms")
    gate = slow.handler.gate = asyncio.Event()
    for text in "abc":
        await dispatch(scene, text)
        await passes(2)
    scene.layer.holds = True
    asked = soon(outcome(dispatch(scene, "d", on_full="refuse")))
    await after(1)
    assert not asked.done()
    scene.layer.release()
    await passes(3)
    assert isinstance(asked.result(), InboxFull)

    unheard = soon(outcome(dispatch(scene, "e", on_full="refuse")))
    await after(3)
    assert isinstance(unheard.result(), Receipt)
    scene.layer.release()
    gate.set()
    await passes(6)
    assert slow.handler.seen == ["a", "b", "c", ("alarms", "full", ((5, 5),))]
    await finish(scene)


async def test_end_of_a_connection_overtakes_its_inbox(scene: Scene) -> None:
    """What waits is not handled, and counted; what its client sent still is."""
    client = await consumer(scene, "alarms")
    gate = client.handler.gate = asyncio.Event()
    for text in "ab":
        await dispatch(scene, text)
        await passes(2)
    client.connection.received("m")
    await dispatch(scene, "c")
    client.wire.lose()
    assert client.connection.groups == frozenset()
    await dispatch(scene, "d")
    gate.set()
    await passes(6)

    assert client.handler.seen == ["a", "m", ("closed", 1006)]
    assert scene.engine.statistics().undispatched == 2
    await finish(scene)


async def test_turn_that_comes_as_the_connection_ends_is_void(scene: Scene) -> None:
    """A dispatch that was queued a moment before the end is not handled after it."""
    client = await consumer(scene, "alarms")
    dispatching = soon(dispatch(scene, "a"))
    await passes(1)
    client.wire.lose()
    await passes(4)
    assert dispatching.done()

    assert client.handler.seen[-1] == ("closed", 1006)
    assert client.handler.seen.count(("closed", 1006)) == 1
    await finish(scene)


async def test_consumer_that_left_still_handles_what_was_dispatched_before(scene: Scene) -> None:
    """Leaving is no end."""
    client = await consumer(scene, "alarms")
    gate = client.handler.gate = asyncio.Event()
    for text in "ab":
        await dispatch(scene, text)
        await passes(2)
    client.connection.leave_group("alarms")
    client.connection.leave_group("alarms")
    client.connection.leave_group("never")
    await dispatch(scene, "c")
    gate.set()
    await passes(6)

    assert client.handler.finished == ["a", "b"]
    assert scene.layer.attached == set()
    await finish(scene)


async def test_what_the_layer_lost_is_read_from_its_history(scene: Scene) -> None:
    """A hole is closed before what follows it is handled; what is gone is told."""
    client = await consumer(scene, "alarms")
    await dispatch(scene, "a")
    scene.layer.holds = True
    await dispatch(scene, "b")
    scene.layer.lose()
    await dispatch(scene, "c")
    scene.layer.release()
    await settled()
    assert client.handler.finished == ["a", "b", "c"]

    await dispatch(scene, "d")
    scene.layer.lose()
    scene.layer.evicted[TOPIC] = 4
    assert scene.layer.suspect is not None
    scene.layer.suspect(TOPIC)
    await settled()
    assert client.handler.seen[3:] == [("alarms", "evicted", ((4, 4),))]
    assert scene.engine.statistics().gaps == 1
    await finish(scene)


async def test_dispatch_that_cannot_be_read_is_told(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """What was not written by Roomful is a gap of one."""
    client = await consumer(scene, "alarms")
    for payload in (b"", b"\0?", b"\xff"):
        scene.layer.tops[TOPIC] = scene.layer.tops.get(TOPIC, 0) + 1
        assert scene.layer.deliver is not None
        scene.layer.deliver(TOPIC, scene.layer.at(TOPIC), payload)
    await passes(4)

    assert client.handler.seen == [("alarms", "unreadable", ((offset, offset),)) for offset in (1, 2, 3)]
    assert "cannot be read" in caplog.text
    await finish(scene)


async def test_attach_is_shared_and_a_failed_one_is_tried_again(scene: Scene) -> None:
    """Consumers that join meanwhile wait for one attach; after a failure nothing is left of it."""
    scene.layer.attach_gate = asyncio.get_running_loop().create_future()
    clients = [scene.client() for _ in range(3)]
    joins = [soon(outcome(client.connection.join_group("alarms"))) for client in clients]
    await passes(5)
    assert scene.layer.calls.count(("attach", TOPIC)) == 1
    clients[2].wire.lose()
    scene.layer.attach_gate.set_exception(LayerError("away"))
    await passes(3)
    assert all(isinstance(join.result(), LayerError) for join in joins)
    assert scene.engine.statistics().groups == 0

    scene.layer.attach_gate = asyncio.get_running_loop().create_future()
    joins = [soon(outcome(client.connection.join_group("alarms"))) for client in clients[:2]]
    await passes(2)
    clients[0].wire.lose()
    scene.layer.attach_gate.set_result(None)
    await passes(3)
    assert isinstance(joins[0].result(), ConnectionClosed)
    assert joins[1].result() is None
    await dispatch(scene, "a")
    await passes(3)
    assert clients[1].handler.finished == ["a"]
    await finish(scene)


async def test_join_that_meets_a_failing_attach_attaches_anew() -> None:
    """At whatever moment it comes: it fails with the others, or it is delivered to."""
    for moment in range(6):
        scene = _scene()
        first, late = scene.client(), scene.client()
        gate = scene.layer.attach_gate = asyncio.get_running_loop().create_future()
        join = soon(outcome(first.connection.join_group("alarms")))
        await passes(6)
        gate.set_exception(LayerError("away"))
        scene.layer.attach_gate = None
        await passes(moment)
        met = await outcome(late.connection.join_group("alarms"))
        assert isinstance(await join, LayerError)
        await dispatch(scene, "a")
        await passes(3)
        assert isinstance(met, LayerError) or late.handler.finished == ["a"]
        await finish(scene)


async def test_waiting_dispatches_hold_no_socket_back(scene: Scene) -> None:
    """They have bounds of their own, and nothing is kept once they are handled."""
    limits = Limits(max_inbox_messages=3, max_dispatch_messages=8)
    scene.engine.limits = limits
    scene.engine._reset()
    client = await consumer(scene, "alarms")
    gate = client.handler.gate = asyncio.Event()
    for number in range(6):
        await dispatch(scene, str(number))
        await passes(2)
    client.connection.received("m")
    client.connection.received("n")
    assert client.wire.is_reading
    client.connection.received("o")
    assert not client.wire.is_reading
    gate.set()
    await passes(20)

    assert client.handler.finished == ["0", "1", "2", "3", "4", "5", "m", "n", "o"]
    assert client.wire.is_reading
    turns = client.connection._turns
    assert turns is not None
    assert (turns.inbox, turns._dispatches) == (None, None)
    await finish(scene)


async def test_join_that_is_a_mistake_is_the_callers(scene: Scene) -> None:
    """Names are those of rooms; a consumer is in so many groups at most; a second join changes nothing."""
    client = await consumer(scene, "a", "b", "a")
    for name in ("", "x\n", "x" * 201):
        with pytest.raises(RoomNameError, match="group name"):
            await client.connection.join_group(name)
        with pytest.raises(RoomNameError, match="group name"):
            await dispatch(scene, "x", name)
        with pytest.raises(RoomNameError, match="group name"):
            client.connection.leave_group(name)
    with pytest.raises(TooManyRooms, match="2 groups"):
        await client.connection.join_group("c")
    await finish(scene)


async def test_dispatcher_in_a_loop_leaves_consumers_their_turns() -> None:
    """On a layer that delivers at once, a healthy consumer's inbox does not fill up."""
    scene = _scene()
    scene.engine.layer = MemoryLayer()
    scene.engine._reset()
    client = await consumer(scene, "alarms")
    for number in range(100):
        await dispatch(scene, str(number))
    await passes(3)

    assert len(client.handler.finished) == 100
    await finish(scene)
