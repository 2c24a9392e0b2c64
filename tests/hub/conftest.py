"""Tests of the hub run on a loop whose time nobody waits for."""

import asyncio
from collections.abc import AsyncGenerator, Callable

import pytest

from roomful.core.limits import Limits
from tests.clock import VirtualLoop, other_tasks, passes
from tests.hub.scene import Scene
from tests.hub.turning import TurnsScene


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Give each test a loop of its own with virtual time."""
    return {"virtual": VirtualLoop}


@pytest.fixture
async def scene() -> AsyncGenerator[Scene]:
    """Give a hub on fakes, and see to it that nothing of its connections is left behind."""
    scene = Scene(
        Limits(
            max_batch_frames=4,
            max_batch_bytes=1000,
            max_outbox_messages=4,
            max_outbox_bytes=100,
            max_rooms_per_connection=3,
            max_inbox_messages=2,
        )
    )
    yield scene
    await scene.assert_nothing_is_left()


@pytest.fixture
async def turning() -> AsyncGenerator[TurnsScene]:
    """Give a scene, and see to it that it leaves no task and no timer behind."""
    turning = TurnsScene()
    yield turning
    await passes(3)
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    assert other_tasks() == set()
    assert loop.timers == []
