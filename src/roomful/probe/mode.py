"""Who gets what a client sends: a property of the server, found out or told."""

from __future__ import annotations

from enum import Enum

__all__ = ("Mode",)


class Mode(Enum):
    """Who gets what a client sends."""

    ECHO = "echo"
    """The client itself."""
    BROADCAST = "broadcast"
    """Every client, whoever sends."""
    ACK = "ack"
    """Nobody; each message is answered with a message of the server's own."""
