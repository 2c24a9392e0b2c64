from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db import connection, transaction
from django.test import override_settings

from roomful import Event, LayerError, RoomPolicy
from roomful.core.errors import InvalidState
from roomful.core.names import RoomName
from roomful.django import apush, get_hub, push, push_on_commit
from tests.layers.servers import BINARIES, Server

HISTORY = {"ROOMS": {"*": RoomPolicy(history=10)}}


async def in_room(room: str) -> int:
    """How many events the room of this process's hub has had."""
    position = await get_hub().engine.layer.attach(RoomName(room))
    return position.offset


async def test_a_thread_pushes_through_the_hub_of_its_process() -> None:
    with override_settings(ROOMFUL=HISTORY):
        async with get_hub():
            receipt = await asyncio.to_thread(push, "r", Event("e", 1))
            assert receipt.position.offset == await in_room("r") == 1


async def test_a_sync_view_starts_the_hub_on_the_loop_of_the_server() -> None:
    with override_settings(ROOMFUL=HISTORY):
        await sync_to_async(push)("r", Event("e", 1))
        assert await in_room("r") == 1
        assert get_hub().engine.loop is asyncio.get_running_loop()
        await get_hub().close()


async def test_push_is_refused_where_it_would_stop_the_loop() -> None:
    with override_settings(ROOMFUL=HISTORY), pytest.raises(InvalidState, match="await apush"):
        push("r", Event("e", 1))


async def test_apush_works_on_the_loop_of_the_hub_and_on_any_other() -> None:
    with override_settings(ROOMFUL=HISTORY):
        async with get_hub():
            await apush("r", Event("e", 1))
            await asyncio.to_thread(lambda: asyncio.run(apush("r", Event("e", 2))))
            assert await in_room("r") == 2


def test_without_a_hub_and_without_a_layer_a_push_is_refused() -> None:
    def call() -> None:
        with pytest.raises(LayerError, match=r"no hub at work.*LAYER"):
            push("r", Event("e", 1))

    with override_settings(ROOMFUL=HISTORY):
        thread = threading.Thread(target=call)
        thread.start()
        thread.join(5)


async def test_a_transaction_that_is_rolled_back_pushes_nothing() -> None:
    def work(fail: bool) -> None:
        try:
            with transaction.atomic():
                push_on_commit("r", Event("e", 1))
                if fail:
                    raise LookupError
        except LookupError:
            pass
        finally:
            connection.close()

    with override_settings(ROOMFUL=HISTORY):
        async with get_hub():
            await sync_to_async(work)(fail=True)
            assert await in_room("r") == 0
            await sync_to_async(work)(fail=False)
            assert await in_room("r") == 1


async def test_a_push_on_commit_that_fails_is_logged_and_the_transaction_stands(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def work() -> None:
        try:
            with transaction.atomic():
                push_on_commit("no\nname", Event("e", 1))
        finally:
            connection.close()

    with override_settings(ROOMFUL=HISTORY):
        async with get_hub():
            await sync_to_async(work)()
    assert "RoomNameError" in caplog.text or "not printable" in caplog.text


@pytest.fixture(scope="module")
def redis() -> Any:
    if not BINARIES:
        pytest.skip("no Redis server is installed")
    with Server(min(BINARIES.values())) as server:
        yield server


@pytest.mark.parametrize("call", [push, async_to_sync(apush)])
def test_a_process_without_a_hub_pushes_through_the_layer(redis: Any, call: Callable[..., Any]) -> None:
    with override_settings(ROOMFUL={"LAYER": redis.url}):
        first = call("r", Event("e", 1), key=f"once {id(call)}")
        again = call("r", Event("e", 1), key=f"once {id(call)}")
    assert again.duplicate
    assert again.position == first.position
