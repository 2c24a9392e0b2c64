"""One set of tests over every transport."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol

import pytest

from roomful import Consumer, Limits, RoomPolicy

from .site import Site
from .transports import SERVERS, TRANSPORTS


class Serve(Protocol):
    """Serves consumers: one at `/`, or several by their patterns."""

    async def __call__(
        self,
        consumers: type[Consumer] | Mapping[str, type[Consumer]],
        *,
        limits: Limits = ...,
        rooms: Mapping[str, RoomPolicy] | None = ...,
        **settings: Any,
    ) -> Site: ...


@pytest.fixture(params=TRANSPORTS)
async def serve(request: pytest.FixtureRequest) -> AsyncIterator[Serve]:
    """Serve consumers on each transport; see when the test ends that nothing is left."""
    async for factory in _serving(request.param):
        yield factory


@pytest.fixture(params=SERVERS)
async def serve_network(request: pytest.FixtureRequest) -> AsyncIterator[Serve]:
    """As `serve`, on real servers only: for what happens below ASGI."""
    async for factory in _serving(request.param):
        yield factory


async def _serving(transport: str) -> AsyncIterator[Serve]:
    sites: list[Site] = []

    async def factory(
        consumers: type[Consumer] | Mapping[str, type[Consumer]],
        *,
        limits: Limits = Limits(),  # noqa: B008 -- frozen
        rooms: Mapping[str, RoomPolicy] | None = None,
        **settings: Any,
    ) -> Site:
        by_path = consumers if isinstance(consumers, Mapping) else {"/": consumers}
        site = Site(transport, by_path, limits, rooms, **settings)
        sites.append(site)
        await site.start()
        return site

    yield factory
    for site in sites:
        await site.stop()
