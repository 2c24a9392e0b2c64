"""The health check, as a load balancer asks it."""

from __future__ import annotations

from typing import Any

import pytest

from roomful import Hub
from roomful.endpoint import HealthCheck
from roomful.testing import FakeLayer


async def ask(hub: Hub, query: bytes = b"") -> tuple[int, bytes]:
    """Return status and body."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await HealthCheck(hub)({"type": "http", "query_string": query}, None, send)  # type: ignore[arg-type] # never asked
    return sent[0]["status"], sent[1]["body"]


class Away(FakeLayer):
    """A layer whose server is away."""

    def health(self) -> str:
        return "redis://localhost:6379/0 is away"


async def test_hub_is_well_before_and_while_it_runs_and_not_when_it_ends() -> None:
    """A load balancer sends nobody to a process that drains."""
    hub = Hub()
    assert await ask(hub) == (200, b"ok\n")
    async with hub:
        assert await ask(hub) == (200, b"ok\n")
        await hub.drain(0, 0)
        assert await ask(hub) == (503, b"hub takes no more connections\n")
        assert await ask(hub, b"layer=ignore") == (503, b"hub takes no more connections\n")
    assert (await ask(hub))[0] == 503


async def test_layer_that_is_away_is_said_unless_it_is_to_be_ignored() -> None:
    """It is in the statistics too."""
    async with Hub(Away()) as hub:
        assert await ask(hub) == (503, b"redis://localhost:6379/0 is away\n")
        assert await ask(hub, b"layer=ignore") == (200, b"ok\n")
        assert hub.statistics().layer_problem == "redis://localhost:6379/0 is away"


async def test_health_check_is_asked_by_http() -> None:
    """A WebSocket there is a mistake of the routes."""
    with pytest.raises(TypeError, match="asked by HTTP"):
        await HealthCheck(Hub())({"type": "websocket"}, None, None)  # type: ignore[arg-type] # never asked
