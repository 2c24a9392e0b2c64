"""What the tests of `roomful.server` share: each asynchronous test runs on asyncio's loop and on uvloop."""

import asyncio
from collections.abc import Callable, Mapping

import pytest
import uvloop


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Name the loops that the class must work on."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
