"""Each test runs over our server and over one that we did not write; the third is for the long run.

What takes time by the clock, and not by the server, names its transports by `door.timed`.
"""

import pytest

from .door import SLOWLY, TRANSPORTS


@pytest.fixture(params=[*TRANSPORTS, *SLOWLY])
def transport(request: pytest.FixtureRequest) -> str:
    """The name of a server."""
    name: str = request.param
    return name
