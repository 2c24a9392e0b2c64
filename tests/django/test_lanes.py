from __future__ import annotations

import asyncio
import threading
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
    first, second, third = lanes.enter(), lanes.enter(), lanes.enter()
    assert [first[0].number, second[0].number, third[0].number] == [0, 1, 0]
    for taken in (third, second, first):
        lanes.leave(taken)
    again = lanes.enter()
    assert again[0].number == 0
    lanes.leave(again)


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
    taken = lanes.enter()
    assert taken[0].number == 1
    lanes.leave(taken)
    go_on.set()

    def is_back() -> bool:
        taken = lanes.enter()
        lanes.leave(taken)
        return taken[0].number == 0

    await until(is_back)


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

    async with lanes.lane():
        assert await sync_to_async(query)() is not None
    taken = lanes.enter()[0]
    executor = taken.executor
    assert executor is not None
    await until(lambda: executor.submit(is_closed).result(5))
