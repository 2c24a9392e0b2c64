"""Tests of the endpoint run on a loop whose time nobody waits for."""

import asyncio
from collections.abc import AsyncGenerator, Callable

import pytest

from roomful import Hub
from roomful.core.limits import Limits
from tests.clock import VirtualLoop, other_tasks, settled
from tests.endpoint.calls import log


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Give each test a loop of its own with virtual time."""
    return {"virtual": VirtualLoop}


@pytest.fixture
async def hub() -> AsyncGenerator[Hub]:
    """Give a hub, and see to it that no connection, task or timer is left when the test has ended its calls."""
    log.clear()
    hub = Hub(limits=Limits(handshake_timeout_s=5, max_message_bytes=1000, max_inbox_messages=2))
    yield hub
    await settled()
    statistics = hub.statistics()
    assert (statistics.connections, statistics.ending, statistics.rooms) == (0, 0, 0)
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    assert other_tasks() == set()
    assert loop.timers == []
