"""The engine: starting, closing, and the loops that it lives on."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
from collections.abc import Awaitable, Callable

import pytest

from roomful.core.envelope import Envelope
from roomful.core.errors import (
    HubClosed,
    LayerError,
    RoomNameError,
    WrongLoop,
)
from roomful.core.limits import Limits
from tests.clock import VirtualLoop, after, now, other_tasks, passes, settled
from tests.hub.scene import Scene, outcome, soon


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
    failures = await asyncio.gather(*(outcome(scene.engine.pushing.push("lobby", "a")) for _ in range(2)))

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
        receipts.append(await scene.engine.pushing.push("lobby", "ann has left"))
        scene.engine.pushing.push_nowait("lobby", "really")

    ann.handler.on_close = goodbye
    closing = soon(scene.engine.close())
    await passes(2)
    ann.wire.lose()
    await settled()
    assert len(receipts) == 1
    bob.wire.lose()
    await closing

    assert scene.top("lobby") == 2
    for call in (
        scene.engine.pushing.push("lobby", "late"),
        scene.engine.start(),
        ann.connection.join("lobby"),
    ):
        with pytest.raises(HubClosed):
            await call
    with pytest.raises(HubClosed):
        scene.engine.pushing.push_nowait("lobby", "late")


async def test_close_waits_for_a_limited_time(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """A connection that does not end in time is aborted; the log says how many, and the layer stops all the same."""
    ann = await scene.member("lobby")
    began = now()

    await scene.engine.close()

    assert now() - began == pytest.approx(10 + 5)
    assert ann.wire.closed == [("close", 1001, "server is going away", None), ("abort",)]
    assert "hub aborts 1 connections that did not end in time" in caplog.text
    assert scene.layer.calls[-1] == ("stop",)


async def test_consumers_of_aborted_connections_may_still_push(scene: Scene) -> None:
    """The layer stops when they have ended, and not before."""
    ann = await scene.member("lobby")
    receipts: list[object] = []

    async def goodbye() -> None:
        receipts.append(await scene.engine.pushing.push("lobby", "ann has left"))

    ann.handler.on_close = goodbye
    closing = soon(scene.engine.close())
    await after(11)
    ann.wire.lose()
    await closing

    assert len(receipts) == 1


async def test_close_that_is_cancelled_still_ends_everything(scene: Scene) -> None:
    """Whoever closes a hub may be in a hurry: its connections are aborted, and its layer is stopped all the same."""
    ann = await scene.member("lobby")
    closing = soon(scene.engine.close())
    await passes(2)
    closing.cancel()
    await passes(2)
    assert ann.wire.closed[-1] == ("abort",)
    ann.wire.lose()

    assert isinstance(await outcome(closing), asyncio.CancelledError)
    assert scene.layer.calls[-1] == ("stop",)
    with pytest.raises(HubClosed):
        await scene.push("lobby", "late")


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
        for refused in (
            scene.engine.bind,
            scene.client,
            lambda: scene.engine.pushing.push_nowait("lobby", "a"),
        ):
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
        assert (await scene.engine.pushing.push("lobby", "b")).position.offset == 2
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
