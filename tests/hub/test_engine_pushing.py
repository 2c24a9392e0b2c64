"""The engine: pushes, exclusions, gaps and sends by id."""

from __future__ import annotations

import asyncio

import pytest

from roomful.core.envelope import Envelope, Form
from roomful.core.errors import (
    InvalidState,
    LayerError,
    NotEncodable,
    PushKeyError,
    RoomNameError,
    UnknownConnection,
)
from roomful.core.events import Event
from roomful.core.names import ConnectionId, RoomName
from roomful.core.ports import ProducerSeq
from roomful.core.positions import Position
from tests.clock import after, passes, settled
from tests.fakes import FakeKind
from tests.hub.scene import Scene, soon

JSON, RAW = FakeKind("json"), FakeKind("raw", has_positions=False)


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
        scene.engine.pushing.push_nowait("lobby", "a")

    await scene.engine.start()

    assert (await scene.engine.pushing.push_nowait("lobby", "a")).position == Position("e", 1)


async def test_every_push_has_a_sequence_of_its_own_and_carries_its_key(scene: Scene) -> None:
    """The layer can tell each push of each hub from every other, and knows the caller's key."""
    other = Scene()
    for key in (None, "once"):
        await scene.engine.pushing.push("lobby", "a", key=key)
    await other.engine.pushing.push("lobby", "a")

    (_, _, first, no_key), (_, _, second, key) = scene.layer.published
    assert first == ProducerSeq(first.producer, 1)
    assert second == ProducerSeq(first.producer, 2)
    assert (no_key, key) == (None, "once")
    assert other.layer.published[0][2].producer != first.producer


async def test_a_key_that_cannot_be_one_is_refused_before_anything_is_published(scene: Scene) -> None:
    """Whoever pushes without waiting learns of it at once."""
    for key in ("", "x" * 201, "a\n"):
        with pytest.raises(PushKeyError):
            await scene.engine.pushing.push("lobby", "a", key=key)
        with pytest.raises(PushKeyError):
            scene.engine.pushing.push_nowait("lobby", "a", key=key)
        with pytest.raises(PushKeyError):
            await scene.engine.groups.dispatch("team", Event("a"), exclude=None, key=key, on_full="tell")
    assert scene.layer.published == []
    assert (await scene.engine.pushing.push("lobby", "a", key="x" * 200)).position.offset == 1


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
        await scene.engine.pushing.push(room, message)

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


async def test_producer_of_many_rooms_gives_the_others_a_turn(scene: Scene) -> None:
    """Also pushes that fill no batch, or reach nobody, do not starve the loop."""
    turns: list[int] = []

    async def count() -> None:
        while True:
            turns.append(1)
            await asyncio.sleep(0)

    counting = soon(count())
    for number in range(40):
        await scene.push(str(number), "a")
    counting.cancel()

    assert len(turns) >= 9
    await passes()


async def test_full_batch_is_written_at_once(scene: Scene) -> None:
    """Joining has a bound: 4 frames here."""
    ann = await scene.member("lobby")
    for number in range(4):
        scene.engine.pushing.push_nowait("lobby", str(number))

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
        scene.engine.pushing.push_nowait("lobby", str(number))
    ann.wire.on_write = lambda: scene.engine.flusher.after_flush(
        lambda: scene.engine.pushing.push_nowait("lobby", "last")
    )

    scene.engine.pushing.push_nowait("lobby", "fourth")
    ann.wire.on_write = None
    await settled()

    texts = ["lobby@1 0", "lobby@2 1", "lobby@3 2", "lobby@4 fourth", "lobby@5 last"]
    assert ann.written == texts
    assert bob.written == texts


async def test_member_that_leaves_between_two_kinds_of_one_event_gets_no_more(scene: Scene) -> None:
    """What the flush of one kind entails may empty another; nobody gets what was pushed after it has left."""
    ann, bob = await scene.member("lobby", kind=JSON), await scene.member("lobby", kind=RAW)
    for number in range(3):
        scene.engine.pushing.push_nowait("lobby", str(number))
    ann.wire.on_write = bob.wire.lose

    scene.engine.pushing.push_nowait("lobby", "fourth")

    assert len(ann.written) == 4
    assert bob.written == []
    assert bob.connection.is_lost


async def test_event_within_a_flush_is_delivered_after_it(scene: Scene) -> None:
    """A layer that delivers in the middle of a flush changes no batch that is being written."""
    ann = await scene.member("lobby")
    scene.layer.holds = True
    scene.engine.pushing.push_nowait("lobby", "a")
    scene.layer.release()
    scene.engine.pushing.push_nowait("lobby", "b")
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

    await scene.engine.pushing.push("lobby", "a", exclude=id_)
    await passes()

    assert (ann.written, eve.written) == (["lobby@1 a"], [])


# ── Gaps ──


async def test_what_was_missed_comes_from_the_history(scene: Scene) -> None:
    """Members of a suspected room get it in order and once, and before what comes later; others notice nothing."""
    ann, eve = await scene.member("lobby", kind=JSON), await scene.member("other", kind=JSON)
    scene.layer.holds = True
    await scene.push("lobby", "a")
    scene.layer.lose()
    scene.layer.holds = False
    assert scene.layer.suspect is not None
    scene.layer.suspect(RoomName("lobby"))
    await scene.push("lobby", "b")
    await passes(5)
    assert (ann.written, eve.written) == (["lobby@1 a", "lobby@2 b"], [])
    assert scene.engine.statistics().gaps == 0


async def test_a_hole_in_what_the_layer_delivers_is_closed(scene: Scene) -> None:
    """A layer that loses an event without a word is found out by the next one."""
    ann = await scene.member("lobby", kind=JSON)
    scene.layer.holds = True
    await scene.push("lobby", "a")
    scene.layer.lose()
    scene.layer.holds = False
    await scene.push("lobby", "b")
    await passes(5)
    assert ann.written == ["lobby@1 a", "lobby@2 b"]


async def test_what_nobody_has_is_told_exactly(scene: Scene) -> None:
    """Members with positions get a notice before the next event; members without are closed with *come back*."""
    ann, bob = await scene.member("lobby", kind=JSON), await scene.member("lobby", kind=RAW)
    scene.layer.holds = True
    await scene.push("lobby", "a")
    await scene.push("lobby", "b")
    await scene.push("lobby", "c")
    scene.layer.lose()
    scene.layer.evicted[RoomName("lobby")] = 2
    assert scene.layer.suspect is not None
    scene.layer.suspect(RoomName("lobby"))
    await passes(5)
    assert ann.written == ["gap lobby evicted 1-2", "lobby@3 c"]
    assert bob.wire.closed == [("close", 4002, "events may be missing; reconnect and resume", 2.0)]
    assert scene.engine.statistics().gaps == 1


async def test_a_history_that_cannot_be_read_is_read_again(scene: Scene) -> None:
    """Nothing newer is passed on meanwhile, and nothing is lost."""
    ann = await scene.member("lobby", kind=JSON)
    scene.layer.holds = True
    await scene.push("lobby", "a")
    scene.layer.lose()
    scene.layer.holds = False
    scene.layer.history_gate = asyncio.get_running_loop().create_future()
    scene.layer.history_gate.set_exception(LayerError("away"))
    assert scene.layer.suspect is not None
    scene.layer.suspect(RoomName("lobby"))
    await scene.push("lobby", "b")
    await passes(5)
    assert ann.written == []
    scene.layer.history_gate = None
    await after(1)
    assert ann.written == ["lobby@1 a", "lobby@2 b"]


async def test_nothing_is_read_for_a_room_that_is_gone(scene: Scene) -> None:
    """A history that comes too late is for nobody, and a room that is entered again begins where the layer stands."""
    ann = await scene.member("lobby", kind=JSON)
    await scene.push("lobby", "a")
    scene.layer.history_gate = asyncio.get_running_loop().create_future()
    assert scene.layer.suspect is not None
    scene.layer.suspect(RoomName("lobby"))
    await passes(2)
    ann.connection.leave("lobby")
    ann.take()
    await ann.connection.join("lobby")
    scene.layer.history_gate.set_result(None)
    await scene.push("lobby", "b")
    await passes(5)
    assert ann.written == ["joined lobby@1", "lobby@2 b"]


async def test_event_that_cannot_be_read_is_a_gap(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """A payload of another version is not skipped silently: the members are told, and the log says why."""
    ann, bob = await scene.member("lobby", kind=JSON), await scene.member("lobby", kind=RAW)
    assert scene.layer.deliver is not None

    scene.layer.deliver(RoomName("lobby"), Position("e", 1), b"\x09nonsense")
    await passes(2)

    assert ann.written == ["gap lobby unreadable 1-1"]
    assert bob.wire.closed[0][1] == 4002
    assert "event e:1 cannot be read" in caplog.text


async def test_event_that_a_kind_cannot_encode_is_a_gap(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    """A body that its codec cannot read reaches no member of any kind, and each is told."""
    ann, bob = await scene.member("lobby", kind=JSON), await scene.member("lobby", kind=RAW)
    assert scene.layer.deliver is not None

    scene.layer.deliver(RoomName("lobby"), Position("e", 1), Envelope(Form.TEXT, b"\xff").pack())
    await passes(2)

    assert ann.written == ["gap lobby unreadable 1-1"]
    assert bob.wire.closed[0][1] == 4002
    assert "event e:1 cannot be encoded" in caplog.text


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
