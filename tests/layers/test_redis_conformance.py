"""The Redis layer keeps every guarantee of a layer, on real servers."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator

import pytest

from roomful.core.ports import Layer
from roomful.layers.redis import RedisLayer
from roomful.testing import LayerCheck, check_layer

from .servers import BINARIES, Server

NAMES = [check.__name__ for check in check_layer(lambda: RedisLayer("unix:///nowhere"))]
RESTARTED = "leads_on_through_a_restart"


def checks_of(server: Server, *, restarts: bool = False) -> dict[str, LayerCheck]:
    """Return the checks by their names."""
    prefixes: dict[int, str] = {}

    def make_layer() -> RedisLayer:
        prefix = secrets.token_hex(8)
        layer = RedisLayer(server.url, prefix=prefix)
        prefixes[id(layer)] = prefix
        return layer

    def make_peer(layer: Layer) -> RedisLayer:
        return RedisLayer(server.url, prefix=prefixes[id(layer)])

    async def restart() -> None:
        server.kill()
        await asyncio.to_thread(server.start)

    checks = check_layer(make_layer, make_peer=make_peer, restart=restart if restarts else None)
    return {check.__name__: check for check in checks}


@pytest.mark.parametrize("name", [name for name in NAMES if name != RESTARTED])
async def test_redis_layer_keeps_its_guarantees(server: Server, name: str) -> None:
    await checks_of(server)[name]()


@pytest.fixture(params=["redis", "valkey"])
def own_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server that a test may do anything to, and that loses nothing when it is killed."""
    if request.param not in BINARIES:
        pytest.skip(f"no {request.param} server is installed")
    # Written before it is answered: by default a write waits where the disk is busy, and a kill loses it.
    options = ("--appendonly", "yes", "--appendfsync", "always")
    with Server(BINARIES[request.param], *options) as server:
        yield server


async def test_redis_layer_leads_on_through_a_restart(own_server: Server) -> None:
    await checks_of(own_server, restarts=True)[RESTARTED]()
