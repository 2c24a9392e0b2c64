"""Tests of answers run on a loop whose time nobody waits for."""

import asyncio
from collections.abc import Callable

from tests.clock import VirtualLoop


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Give each test a loop of its own with virtual time."""
    return {"virtual": VirtualLoop}
