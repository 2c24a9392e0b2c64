"""Orders to all processes: what one of them gave, and what was missed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from roomful import Event, Hub
from roomful.core.names import node_topic
from roomful.core.policies import Retention
from roomful.core.ports import ProducerSeq
from roomful.testing import FakeLayer


@pytest.fixture
async def layer() -> FakeLayer:
    return FakeLayer(shared=True)


@pytest.fixture
async def hub(layer: FakeLayer) -> AsyncIterator[tuple[Hub, list[tuple[str, int, str]]]]:
    obeyed: list[tuple[str, int, str]] = []
    async with AsyncExitStack() as stack:
        hub = await stack.enter_async_context(Hub(layer))
        hub.engine.revoke = lambda *order: obeyed.append(order)
        yield hub, obeyed


async def give(layer: FakeLayer, payload: bytes, number: int) -> None:
    seq = ProducerSeq("another", number)
    await layer.publish(node_topic(""), payload, seq=seq, keep=Retention(events=9, max_bytes=999, ttl_s=9))
    await asyncio.sleep(0)


async def test_order_of_another_process_is_obeyed_and_its_own_is_not(
    hub: tuple[Hub, list[tuple[str, int, str]]], layer: FakeLayer
) -> None:
    """A process has sent its own principals away before it tells the others."""
    one, obeyed = hub
    await one.disconnect(principal="ada", code=4555)
    await give(layer, b'["another","bob",4500,"blocked"]', 1)

    assert obeyed == [("bob", 4500, "blocked")]
    await one.push("room", Event("all is well"))


async def test_order_that_cannot_be_read_is_told_and_ends_nothing(
    hub: tuple[Hub, list[tuple[str, int, str]]], layer: FakeLayer, caplog: pytest.LogCaptureFixture
) -> None:
    """The next one is obeyed; the log has no word of what it was."""
    _, obeyed = hub
    caplog.set_level(logging.ERROR, "roomful.hub")
    for number, payload in enumerate((b"\xff", b"[]", b"7", b'["another","eve",4500,"x"]'), 1):
        await give(layer, payload, number)

    assert obeyed == [("eve", 4500, "x")]
    assert [record.message.endswith("cannot be read") for record in caplog.records] == [True] * 3
