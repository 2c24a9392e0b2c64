"""Whether the server is reached: it is when both connections are there, the one that publishes and the one that hears.

It connects nothing; it hurries the one that is behind, and says in the log, once each, that the server is away and that
it is reached.
"""

from __future__ import annotations

import logging
from typing import Final

from .address import Address
from .client import Client
from .line import Line

__all__ = ("Reach",)

logger: Final = logging.getLogger("roomful.layer")


class Reach:
    """The state of a layer's server.

    Args:
        address: What the log calls it.

    Attributes:
        problem: Why it is not reached; empty when it is.
        outages: How often it has ceased to be.
    """

    def __init__(self, address: Address) -> None:
        self.problem: str = "it is not started"
        self.outages: int = 0
        self._address = address

    def look(self, client: Client, line: Line) -> bool:
        """Look at both connections; return whether the server has come to be reached."""
        if not self.problem:
            return False
        if client.is_up != (line.link is not None):
            client.hurry()
            line.hurry()
        if not client.is_up or line.link is None:
            return False
        self.problem = ""
        logger.info("layer %s is reached", self._address)
        return True

    def lost(self, reason: str) -> None:
        """Know that a connection has ended, or why there is still none."""
        if not self.problem:
            self.outages += 1
            logger.warning("layer %s is away: %s", self._address, reason)
        self.problem = reason
