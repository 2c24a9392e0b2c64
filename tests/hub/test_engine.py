"""The engine: pushes, joins and the life of a hub, on a fake layer."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
from collections.abc import Awaitable, Callable

import pytest

from roomful.core.envelope import Envelope
from roomful.core.errors import (
    ConnectionClosed,
    HubClosed,
    InvalidState,
    LayerError,
    NotEncodable,
    RoomNameError,
    TooManyRooms,
    UnknownConnection,
    WrongLoop,
)
from roomful.core.events import Event
from roomful.core.limits import Limits
from roomful.core.names import ConnectionId, RoomName
from roomful.core.ports import ProducerSeq
from roomful.core.positions import Position
from roomful.hub.connection import State
from tests.clock import VirtualLoop, after, now, other_tasks, passes, settled
from tests.fakes import FakeKind
from tests.hub.scene import Scene

JSON, RAW = FakeKind("json"), FakeKind("raw", has_positions=False)


def soon(awaitable: Awaitable[object]) -> asyncio.Future[object]:
    """Start something, and let it come as far as it can."""
    return asyncio.ensure_future(awaitable)


async def outcome(awaitable: Awaitable[object]) -> object:
    """Return what became of something: its result, or its error."""
    try:
        return await awaitable
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 -- the error is what is asked for
        return error


def on_two_loops(
    first: Callable[[], Awaitable[object]], second: Callable[[], Awaitable[object]], *, close: bool = True
) -> None:
    """Run one after the other, each on a loop of its own."""
    one, other = VirtualLoop(), VirtualLoop()
    try:
        one.run_until_complete(first())
        if close:
            one.close()
        other.run_until_complete(second())
    finally:
        one.close()
        other.close()


# ── Pushing ──


async def test_members_get_pushes_in_the_order_of_the_receipts(scene: Scene) -> None:
    """Each push gets the next offset, and all members see that order."""
    ann, bob = await scene.member("lobby"), await scene.member("lobby", "other")

    offsets = [
        await scene.push(room, text) for room, text in [("lobby", "a"), ("other", "b"), ("lobby", "c")]
    ]
    await passes(2)

    assert offsets == [1, 1, 2]
    assert ann.written == ["lobby@1 a", "lobby@2 c"]
    assert sorted(bob.written) == ["lobby@1 a", "lobby@2 c", "other@1 b"]
    statistics = scene.engine.statistics()
    assert (statistics.pushes, statistics.deliveries, statistics.flushes) == (3, 5, 2)
    assert (statistics.connections, statistics.rooms, statistics.memberships) == (2, 2, 3)


async def test_push_starts_the_hub_by_itself(scene: Scene) -> None:
    """Nobody has to start a hub before its first use; a room without members is no error."""
    assert await scene.push("lobby", "a") == 1
    assert await scene.push("lobby", "b") == 2

    assert scene.layer.calls == [("start",)]


async def test_push_nowait_wants_a_started_hub(scene: Scene) -> None:
    """What cannot wait cannot start the layer."""
    with pytest.raises(InvalidState, match="hub is not started"):
        scene.engine.push_nowait("lobby", "a")

    await scene.engine.start()

    assert (await scene.engine.push_nowait("lobby", "a")).position == Position("e", 1)


async def test_every_push_has_a_sequence_of_its_own_and_carries_its_key(scene: Scene) -> None:
    """The layer can tell each push of each hub from every other, and knows the caller's key."""
    other = Scene()
    for key in (None, "once"):
        await scene.engine.push("lobby", "a", key=key)
    await other.engine.push("lobby", "a")

    (_, _, first, no_key), (_, _, second, key) = scene.layer.published
    assert first == ProducerSeq(first.producer, 1)
    assert second == ProducerSeq(first.producer, 2)
    assert (no_key, key) == (None, "once")
    assert other.layer.published[0][2].producer != first.producer


@pytest.mark.parametrize(
    ("room", "message", "error"),
    [
        ("", "a", RoomNameError),
        ("x" * 201, "a", RoomNameError),
        ("a\n", "a", RoomNameError),
        (7, "a", RoomNameError),
        ("lobby", Event("post"), NotEncodable),
    ],
)
async def test_push_that_is_a_mistake_disturbs_nothing(
    scene: Scene, room: str, message: str, error: type[Exception]
) -> None:
    """A name or a message that does not work is the caller's error; nothing is published and no offset used."""
    ann = await scene.member("lobby")
    with pytest.raises(error):
        await scene.engine.push(room, message)

    assert await scene.push("lobby", "b") == 1
    await passes()
    assert ann.written == ["lobby@1 b"]


async def test_producer_in_a_loop_gives_the_others_a_turn(scene: Scene) -> None:
    """A batch that is full makes `push` wait for one pass, so that sockets are read and written meanwhile."""
    await scene.member("lobby")
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = soon(count())
    for number in range(40):
        await scene.push("lobby", str(number))
    counting.cancel()

    assert turns >= 9
    await passes()


async def test_full_batch_is_written_at_once(scene: Scene) -> None:
    """Joining has a bound: 4 frames here."""
    ann = await scene.member("lobby")
    for number in range(4):
        scene.engine.push_nowait("lobby", str(number))

    assert len(ann.written) == 4
    assert ann.wire.writes == 2  # the join and the batch


async def test_members_of_several_kinds_share_a_room(scene: Scene) -> None:
    """Each kind gets its own frames, encoded once, and all members get the same events in the same order."""
    ann, bob = await scene.member("lobby", kind=JSON), await scene.member("lobby", kind=RAW)
    assert bob.take() == []
    for text in ("a", "b"):
        await scene.push("lobby", text)
    await passes()

    assert ann.written == bob.written == ["lobby@1 a", "lobby@2 b"]
    bob.connection.leave("lobby")
    await scene.push("lobby", "c")
    await passes(2)
    assert ann.written[-1] == "lobby@3 c"
    assert len(bob.written) == 2


async def test_push_that_a_write_entails_stays_behind_for_every_kind(scene: Scene) -> None:
    """A push that arises while the first kind is written to does not overtake the event on its way to the second."""
    ann, bob = await scene.member("lobby", kind=JSON), await scene.member("lobby", kind=RAW)
    for number in range(3):
        scene.engine.push_nowait("lobby", str(number))
    ann.wire.on_write = lambda: scene.engine.after_flush(lambda: scene.engine.push_nowait("lobby", "last"))

    scene.engine.push_nowait("lobby", "fourth")
    ann.wire.on_write = None
    await settled()

    texts = ["lobby@1 0", "lobby@2 1", "lobby@3 2", "lobby@4 fourth", "lobby@5 last"]
    assert ann.written == texts
    assert bob.written == texts


async def test_member_that_leaves_between_two_kinds_of_one_event_gets_no_more(scene: Scene) -> None:
    """What the flush of one kind entails may empty another; nobody gets what was pushed after it has left."""
    ann, bob = await scene.member("lobby", kind=JSON), await scene.member("lobby", kind=RAW)
    for number in range(3):
        scene.engine.push_nowait("lobby", str(number))
    ann.wire.on_write = bob.wire.lose

    scene.engine.push_nowait("lobby", "fourth")

    assert len(ann.written) == 4
    assert bob.written == []
    assert bob.connection.is_lost


async def test_event_within_a_flush_is_delivered_after_it(scene: Scene) -> None:
    """A layer that delivers in the middle of a flush changes no batch that is being written."""
    ann = await scene.member("lobby")
    scene.layer.holds = True
    scene.engine.push_nowait("lobby", "a")
    scene.layer.release()
    scene.engine.push_nowait("lobby", "b")
    ann.wire.on_write = scene.layer.release

    await passes()
    assert ann.written == ["lobby@1 a"]
    await passes()
    assert ann.written == ["lobby@1 a", "lobby@2 b"]


async def test_events_of_rooms_without_members_are_passed_over(scene: Scene) -> None:
    """A layer may deliver a room for a moment longer than anybody is in it."""
    await scene.engine.start()
    assert scene.layer.deliver is not None
    assert scene.layer.suspect is not None

    scene.layer.deliver(RoomName("gone"), Position("e", 1), b"")
    scene.layer.suspect(RoomName("gone"))

    assert scene.engine.statistics().rooms == 0


# ── Excluding ──


async def test_excluded_member_gets_the_position_alone(scene: Scene) -> None:
    """The excluded member learns where the room stands, in its place; the others get the event."""
    ann, bob = await scene.member("lobby"), await scene.member("lobby")
    for text, exclude in [("a", None), ("b", ann), ("c", ann), ("d", None)]:
        await scene.push("lobby", text, exclude=exclude)
    await settled()

    assert ann.written == ["lobby@1 a", "lobby@2", "lobby@3", "lobby@4 d"]
    assert bob.written == ["lobby@1 a", "lobby@2 b", "lobby@3 c", "lobby@4 d"]
    assert scene.engine.statistics().deliveries == 6


async def test_excluded_member_without_positions_gets_nothing(scene: Scene) -> None:
    """A kind that sends no positions sends an excluded member nothing, and loses nothing that came before."""
    ann, bob = await scene.member("lobby", kind=RAW), await scene.member("lobby", kind=JSON)
    for text, exclude in [("a", None), ("b", ann), ("c", None)]:
        await scene.push("lobby", text, exclude=exclude)
    await settled()

    assert ann.written == ["lobby@1 a", "lobby@3 c"]
    assert bob.written == ["lobby@1 a", "lobby@2 b", "lobby@3 c"]


async def test_excluded_member_whose_transport_is_full(scene: Scene) -> None:
    """The position waits in the outbox, in its place."""
    ann = await scene.member("lobby")
    ann.wire.pause()
    for text, exclude in [("a", None), ("b", ann), ("c", None)]:
        await scene.push("lobby", text, exclude=exclude)
    await settled()
    ann.wire.resume()

    assert ann.written == ["lobby@1 a", "lobby@2", "lobby@3 c"]


@pytest.mark.parametrize("who", ["another room's member", "nobody"])
async def test_excluding_who_is_no_member_has_no_effect(scene: Scene, who: str) -> None:
    """An id that is not in the room, or is no connection at all, excludes nobody."""
    ann, eve = await scene.member("lobby"), await scene.member("other")
    id_ = eve.connection.id if who != "nobody" else ConnectionId("x" * 300)

    await scene.engine.push("lobby", "a", exclude=id_)
    await passes()

    assert (ann.written, eve.written) == (["lobby@1 a"], [])


# ── Gaps ──


async def test_members_of_a_suspected_room_are_told_to_resume(scene: Scene) -> None:
    """When events may be missing each member is closed with 4002, and those of other rooms stay."""
    ann, bob, eve = [await scene.member(room) for room in ("lobby", "lobby", "other")]
    assert scene.layer.suspect is not None

    scene.layer.suspect(RoomName("lobby"))

    close = ("close", 4002, "events may be missing; reconnect and resume", 2.0)
    assert (ann.wire.closed, bob.wire.closed, eve.wire.closed) == ([close], [close], [])
    assert scene.engine.statistics().let_go == {"gap": 2}


async def test_event_that_cannot_be_read_is_a_gap(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """A payload of another version is not skipped silently: the members are told, and the log says why."""
    ann = await scene.member("lobby")
    assert scene.layer.deliver is not None

    scene.layer.deliver(RoomName("lobby"), Position("e", 1), b"\x09nonsense")

    assert ann.wire.closed[0][1] == 4002
    assert "event e:1 cannot be read" in caplog.text


async def test_letting_go_is_logged_once_a_second(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """Many members that are let go at once make one line, and the next one says how many were left out."""
    for _ in range(3):
        scene.client().connection.let_go(4000, "", "slow")
    await after(1)
    scene.client().connection.let_go(4000, "", "slow")

    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 2
    assert lines[0].endswith("let go: slow")
    assert lines[1].endswith("let go: slow (and 2 more since the last such line)")


# ── Joining and leaving ──


async def test_join_returns_where_the_room_stands(scene: Scene) -> None:
    """A member gets exactly the events after the position that its join returned, and is told the same."""
    await scene.push("lobby", "before")
    ann = await scene.member("lobby")
    await scene.push("lobby", "pending")
    bob = scene.client()

    assert await bob.connection.join("lobby") == Position("e", 2)
    await scene.push("lobby", "after")
    await passes(2)

    assert ann.written == ["lobby@2 pending", "lobby@3 after"]
    assert bob.written == ["joined lobby@2", "lobby@3 after"]


async def test_second_join_of_a_room_changes_nothing(scene: Scene) -> None:
    """A member is in a room once."""
    ann = await scene.member("lobby")
    await scene.push("lobby", "a")

    assert await ann.connection.join("lobby") == Position("e", 1)
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

    assert await join == Position("e", 1)


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
    assert await second == Position("e", 0)
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


# ── Addressing one connection ──


async def test_send_and_disconnect_reach_a_connection_by_its_id(scene: Scene) -> None:
    """An id addresses a connection as long as it lives, and nobody else ever."""
    ann, bob = await scene.member("lobby"), await scene.member("lobby")
    id_ = ann.connection.id
    await scene.push("lobby", "a")
    scene.engine.send(id_, "direct")
    scene.engine.disconnect(id_, 4501, "out")
    await passes(2)

    assert ann.written == ["lobby@1 a", "direct"]
    assert ann.wire.closed == [("close", 4501, "out", None)]
    assert (bob.written, bob.wire.closed) == (["lobby@1 a"], [])
    ann.wire.lose()
    for call in (lambda: scene.engine.send(id_, "late"), lambda: scene.engine.disconnect(id_, 1000, "")):
        with pytest.raises(UnknownConnection, match=id_):
            call()


# ── Starting ──


async def test_those_who_start_at_once_start_once(scene: Scene) -> None:
    """The layer is started once, also when one of those who wait for it is cancelled."""
    scene.layer.start_gate = asyncio.get_running_loop().create_future()
    starts = [soon(outcome(scene.engine.start())) for _ in range(3)]
    await passes(2)
    starts[0].cancel()
    await passes(2)
    scene.layer.start_gate.set_result(None)

    results = await asyncio.gather(*starts)
    assert isinstance(results[0], asyncio.CancelledError)
    assert results[1:] == [None, None]
    assert scene.layer.calls == [("start",)]


async def test_start_that_fails_is_tried_again(scene: Scene) -> None:
    """Each that waited learns of the failure, and the next call tries anew."""
    scene.layer.failing_starts = 1
    failures = await asyncio.gather(*(outcome(scene.engine.push("lobby", "a")) for _ in range(2)))

    assert [str(error) for error in failures] == ["layer cannot be reached"] * 2
    assert await scene.push("lobby", "a") == 1
    assert scene.layer.calls == [("start",), ("start",)]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks come with Python 3.12")
async def test_hub_works_with_an_eager_task_factory(scene: Scene) -> None:
    """An application may make all tasks of its loop eager; then a layer may be done before its task is known."""
    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
    scene.layer.failing_starts = 1
    assert isinstance(await outcome(scene.engine.start()), LayerError)
    ann = await scene.member("lobby")
    await scene.push("lobby", "a")
    await passes()

    assert ann.written == ["lobby@1 a"]


# ── Closing ──


async def test_close_ends_every_connection_and_then_the_layer(scene: Scene) -> None:
    """What is pending is written, connections close with 1001, handshakes are refused, the layer stops last."""
    ann, opening = await scene.member("lobby"), scene.opening()
    await scene.push("lobby", "a")
    closing = soon(scene.engine.close())
    await passes(2)
    assert ann.written == ["lobby@1 a"]
    assert ann.wire.closed == [("close", 1001, "server is going away", None)]
    assert opening.wire.closed == [("refuse", 503, b"server is going away\n", [])]
    assert scene.layer.calls[-1] == ("detach", "lobby")
    with pytest.raises(HubClosed):
        scene.client()

    ann.wire.lose()
    await passes(2)
    assert not closing.done()
    opening.wire.lose()
    opening.connection.abandoned()
    await closing

    assert scene.layer.calls[-1] == ("stop",)
    assert ann.handler.seen == [("closed", 1001)]


async def test_consumers_may_push_while_they_end(scene: Scene) -> None:
    """`disconnect` may say goodbye to a room, also when the whole hub is closing; afterwards nobody may."""
    ann, bob = await scene.member("lobby"), await scene.member("lobby")
    receipts: list[object] = []

    async def goodbye() -> None:
        receipts.append(await scene.engine.push("lobby", "ann has left"))
        scene.engine.push_nowait("lobby", "really")

    ann.handler.on_close = goodbye
    closing = soon(scene.engine.close())
    await passes(2)
    ann.wire.lose()
    await settled()
    assert len(receipts) == 1
    bob.wire.lose()
    await closing

    assert scene.top("lobby") == 2
    for call in (scene.engine.push("lobby", "late"), scene.engine.start(), ann.connection.join("lobby")):
        with pytest.raises(HubClosed):
            await call
    with pytest.raises(HubClosed):
        scene.engine.push_nowait("lobby", "late")


async def test_close_waits_for_a_limited_time(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """A connection that does not end in time is aborted; the log says how many, and the layer stops all the same."""
    ann = await scene.member("lobby")
    began = now()

    await scene.engine.close()

    assert now() - began == pytest.approx(10)
    assert ann.wire.closed == [("close", 1001, "server is going away", None), ("abort",)]
    assert "hub closed with 1 connections still ending" in caplog.text
    assert scene.layer.calls[-1] == ("stop",)


async def test_close_gives_up_joins_that_still_wait(scene: Scene) -> None:
    """A layer that never attaches a room does not keep a task beyond its hub."""
    scene.layer.attach_gate = asyncio.get_running_loop().create_future()
    ann = scene.client()
    join = soon(outcome(ann.connection.join("lobby")))
    await settled()

    await scene.engine.close()
    await join
    ann.wire.lose()
    await settled()

    assert other_tasks() == set()


async def test_second_close_does_nothing(scene: Scene) -> None:
    """Closing what is closed, or is closing, returns at once."""
    await scene.engine.start()
    first, second = soon(scene.engine.close()), soon(scene.engine.close())
    await first
    await second
    await scene.engine.close()

    assert scene.layer.calls == [("start",), ("stop",)]


async def test_close_of_a_hub_that_never_ran(scene: Scene) -> None:
    """A hub that nobody has used is closed like any other; it can be bound and unstarted, too."""
    await scene.engine.close()
    with pytest.raises(HubClosed):
        await scene.push("lobby", "a")

    bound = Scene()
    bound.engine.bind()
    await bound.engine.close()
    assert bound.layer.calls == []


async def test_start_that_ends_after_the_close_starts_nothing(scene: Scene) -> None:
    """A layer that was still starting when its hub closed is stopped again."""
    scene.layer.start_gate = asyncio.get_running_loop().create_future()
    start = soon(outcome(scene.engine.start()))
    await passes(2)
    await scene.engine.close()
    scene.layer.start_gate.set_result(None)

    assert isinstance(await start, HubClosed)
    assert scene.layer.calls == [("start",), ("stop",)]


async def test_closed_hub_may_be_opened_again(scene: Scene) -> None:
    """`async with hub` works a second time; on a hub that is open it changes nothing."""
    await scene.push("lobby", "a")
    await scene.engine.close()
    scene.engine.reopen()
    ann = await scene.member("lobby")
    scene.engine.reopen()
    await scene.push("lobby", "b")
    await passes()

    assert ann.written == ["lobby@2 b"]
    assert scene.layer.calls.count(("start",)) == 2
    first, second = (published[2].producer for published in scene.layer.published)
    assert first != second


# ── Loops ──


def test_hub_refuses_a_second_loop_while_the_first_lives() -> None:
    """A hub belongs to one loop; any use on another raises, and harms nothing."""
    scene = Scene()

    async def second() -> None:
        for call in (scene.engine.start, lambda: scene.push("lobby", "a"), scene.engine.close):
            with pytest.raises(WrongLoop):
                await call()
        for refused in (scene.engine.bind, scene.client, lambda: scene.engine.push_nowait("lobby", "a")):
            with pytest.raises(WrongLoop):
                refused()

    on_two_loops(scene.engine.start, second, close=False)


def test_hub_moves_to_a_new_loop_when_its_own_is_closed() -> None:
    """Sockets died with their loop; the hub begins anew, its counters go on, and its pushes are told from the old."""
    scene = Scene()

    async def first() -> None:
        await scene.member("lobby")
        await scene.push("lobby", "a")
        await passes()

    async def second() -> None:
        assert (await scene.engine.push("lobby", "b")).position.offset == 2
        statistics = scene.engine.statistics()
        assert (statistics.pushes, statistics.connections, statistics.rooms) == (2, 0, 0)
        scene.clients.clear()
        ann = await scene.member("lobby")
        await scene.push("lobby", "c")
        await passes()
        assert ann.written == ["lobby@3 c"]
        await scene.assert_nothing_is_left()

    on_two_loops(first, second)

    producers = [published[2].producer for published in scene.layer.published]
    assert producers[0] != producers[1] == producers[2]
    assert scene.layer.calls.count(("start",)) == 2


def test_closed_hub_begins_anew_on_a_new_loop() -> None:
    """A hub that was closed on a loop that is gone is as good as new, as an application is that a test starts again."""
    scene = Scene()

    async def first() -> None:
        await scene.engine.start()
        await scene.engine.close()

    async def second() -> None:
        ann = await scene.member("lobby")
        await scene.push("lobby", "a")
        await passes()
        assert ann.written == ["lobby@1 a"]
        await scene.engine.close()
        with pytest.raises(HubClosed):
            await scene.engine.start()

    on_two_loops(first, second)


def test_hub_whose_loop_has_died_is_closed_without_it() -> None:
    """There is nothing to wait for when the loop of the connections is gone."""
    scene = Scene()

    async def first() -> None:
        await scene.member("lobby")

    async def second() -> None:
        began = now()
        await scene.engine.close()
        assert now() == began
        assert scene.clients[0].wire.closed == []

    on_two_loops(first, second)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_join_that_died_with_its_loop_does_not_touch_its_successor(caplog: pytest.LogCaptureFixture) -> None:
    """A join whose loop was closed under it is collected some day; the room of that name on the new loop stays."""
    scene = Scene()

    async def first() -> None:
        scene.layer.attach_gate = asyncio.get_running_loop().create_future()
        ann = scene.client()
        asyncio.get_running_loop().create_task(ann.connection.join("lobby"))
        await settled()

    async def second() -> None:
        scene.layer.attach_gate = None
        scene.clients.clear()
        ann = await scene.member("lobby")
        gc.collect()
        await scene.push("lobby", "a")
        await passes()
        assert ann.written == ["lobby@1 a"]
        await scene.assert_nothing_is_left()

    on_two_loops(first, second)
    assert not [r for r in caplog.records if r.exc_info]


async def test_payload_is_an_envelope(scene: Scene) -> None:
    """What travels through a layer can be read by any hub of the same version."""
    await scene.push("lobby", "a")

    assert Envelope.unpack(scene.layer.published[0][1]).body == b"a"


async def test_timer_of_the_engine_runs_on_its_loop(scene: Scene) -> None:
    """`call_later` is the loop's own, and may be cancelled."""
    calls: list[float] = []
    scene.engine.call_later(1.0, lambda: calls.append(now()))
    scene.engine.call_later(2.0, lambda: calls.append(now())).cancel()
    await after(3)

    assert calls == [pytest.approx(1.0)]
    assert scene.engine.loop is None
    with contextlib.suppress(HubClosed):
        assert scene.engine.bind() is scene.engine.loop


async def test_limits_are_those_that_were_given() -> None:
    """An engine keeps to its own limits."""
    scene = Scene(Limits(max_room_name_bytes=5))

    with pytest.raises(RoomNameError, match="room name is 6 bytes; the limit is 5"):
        await scene.push("longer", "a")
