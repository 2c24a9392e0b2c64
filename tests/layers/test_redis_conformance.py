"""The Redis layer keeps every guarantee of a layer, on real servers."""

from __future__ import annotations

import secrets

import pytest

from roomful.layers.redis import RedisLayer
from roomful.testing import LayerCheck, check_layer

from .servers import Server

CHECKS = [check.__name__ for check in check_layer(lambda: RedisLayer("unix:///nowhere"))]


@pytest.mark.parametrize("name", CHECKS)
async def test_redis_layer_keeps_its_guarantees(server: Server, name: str) -> None:
    def make_layer() -> RedisLayer:
        return RedisLayer(server.url, prefix=secrets.token_hex(8))

    checks: dict[str, LayerCheck] = {check.__name__: check for check in check_layer(make_layer)}
    await checks[name]()
