"""Servers that the tests of this folder share: each test uses keys of its own."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from .servers import BINARIES, Server


@pytest.fixture(scope="session", params=["redis", "valkey"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server that runs as long as the tests."""
    if request.param not in BINARIES:
        pytest.skip(f"no {request.param} server is installed")
    with Server(BINARIES[request.param]) as running:
        yield running


@pytest.fixture
def prefix() -> str:
    """What this test's keys begin with."""
    return secrets.token_hex(8)
