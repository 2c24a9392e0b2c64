from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connection

from roomful.django import lanes as module
from roomful.django.lanes import Lanes
from tests.integration.waiting import until


async def thread_in(lanes: Lanes) -> int:
    async with lanes.lane():
        return await sync_to_async(threading.get_ident)()


async def test_one_after_the_other_has_the_same_thread() -> None:
    lanes = Lanes(4)
    assert len({await thread_in(lanes) for _ in range(10)}) == 1


async def test_a_query_that_hangs_holds_up_its_own_lane_alone() -> None:
    lanes = Lanes(2)
    go_on, began = threading.Event(), threading.Event()

    def hang() -> None:
        began.set()
        go_on.wait(10)

    async def hanging() -> None:
        async with lanes.lane():
            await sync_to_async(hang)()

    stuck = asyncio.ensure_future(hanging())
    await until(began.is_set)
    async with asyncio.timeout(5):
        threads = {await thread_in(lanes) for _ in range(5)}
    assert len(threads) == 1
    go_on.set()
    await stuck


async def test_more_handlers_than_lanes_share_them() -> None:
    lanes = Lanes(2)
    go_on = asyncio.Event()

    async def handler() -> int:
        async with lanes.lane():
            thread = await sync_to_async(threading.get_ident)()
            await go_on.wait()
            assert await sync_to_async(threading.get_ident)() == thread
            return thread

    handlers = [asyncio.ensure_future(handler()) for _ in range(5)]
    await asyncio.sleep(0)
    go_on.set()
    assert len(set(await asyncio.gather(*handlers))) == 2


async def test_a_handler_that_needs_no_thread_takes_none() -> None:
    lanes = Lanes(1)
    async with lanes.lane() as place:
        assert place.lane is None
        await sync_to_async(threading.get_ident)()
        assert place.lane is not None
    assert place.lane is None


async def test_a_lane_whose_thread_is_still_busy_is_not_given_away() -> None:
    lanes = Lanes(2)
    go_on, began = threading.Event(), threading.Event()

    def hang() -> None:
        began.set()
        go_on.wait(10)

    async def hanging() -> None:
        async with lanes.lane():
            await sync_to_async(hang)()

    stuck = asyncio.ensure_future(hanging())
    await until(began.is_set)
    stuck.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stuck
    async with asyncio.timeout(5):
        await thread_in(lanes)
    go_on.set()
    await until(lambda: sorted(lanes._free) == [0, 1])


async def test_old_connections_are_closed_in_the_thread_that_has_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "SWEEP_S", 0.001)
    lanes = Lanes(2)

    def query() -> Any:
        connection.ensure_connection()
        return connection.connection

    def is_closed() -> bool:
        return connection.connection is None

    async with lanes.lane() as place:
        assert await sync_to_async(query)() is not None
        assert place.lane is not None
        thread = place.lane.thread
    await until(lambda: thread.submit(is_closed).result(5))


async def test_handlers_that_must_share_a_lane_take_none_that_is_stuck(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "STUCK_S", 0.0)
    lanes = Lanes(2)
    go_on, stay, began = threading.Event(), asyncio.Event(), threading.Event()

    def hang() -> None:
        began.set()
        go_on.wait(10)

    async def hanging() -> None:
        async with lanes.lane():
            await sync_to_async(hang)()

    async def staying() -> int:
        async with lanes.lane():
            thread = await sync_to_async(threading.get_ident)()
            await stay.wait()
            return thread

    stuck = asyncio.ensure_future(hanging())
    await until(began.is_set)
    handlers = [asyncio.ensure_future(staying()) for _ in range(5)]
    async with asyncio.timeout(5):
        await until(lambda: lanes._lanes[1].running == 5)
    stay.set()
    assert len(set(await asyncio.gather(*handlers))) == 1
    go_on.set()
    await stuck


async def test_handlers_that_share_lanes_are_spread_over_them() -> None:
    lanes = Lanes(2)
    stay = asyncio.Event()

    async def staying() -> None:
        async with lanes.lane():
            await sync_to_async(threading.get_ident)()
            await stay.wait()

    handlers = [asyncio.ensure_future(staying()) for _ in range(6)]
    await until(lambda: sum(lane.running for lane in lanes._lanes) == 6)
    assert [lane.running for lane in lanes._lanes] == [3, 3]
    stay.set()
    await asyncio.gather(*handlers)


async def test_a_call_that_is_cancelled_in_its_queue_counts_no_more() -> None:
    lanes = Lanes(1)
    go_on, began = threading.Event(), threading.Event()

    def hang() -> None:
        began.set()
        go_on.wait(10)

    async def handler(call: Callable[[], object]) -> None:
        async with lanes.lane():
            await sync_to_async(call)()

    stuck = asyncio.ensure_future(handler(hang))
    await until(began.is_set)
    queued = [asyncio.ensure_future(handler(threading.get_ident)) for _ in range(3)]
    lane = lanes._lanes[0]
    await until(lambda: lane.load(0.0)[1] == 4)
    for task in queued:
        task.cancel()
    await asyncio.wait(queued)
    go_on.set()
    await stuck
    await until(lambda: lane.running == 0)
    assert lane.load(0.0)[1] == 0
