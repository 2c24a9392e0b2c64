"""Each test runs over every server that stands between a socket and the application."""

import pytest

from tests.integration.transports import SERVERS


@pytest.fixture(params=SERVERS)
def transport(request: pytest.FixtureRequest) -> str:
    """The name of a server."""
    name: str = request.param
    return name
