"""The programs that a server may run: what it does with the messages of its clients.

Each server implements those that it can; the load knows what to expect of each.
"""

from __future__ import annotations

from enum import StrEnum

__all__ = ("Program",)


class Program(StrEnum):
    """What a server does with a message."""

    FANOUT = "fanout"
    """Every client is in one room; a message goes to all of them, its sender too."""
    REPLY = "reply"
    """As `fanout`, and its sender gets the text `ok` behind it."""
    ROOMS = "rooms"
    """A client names its rooms in the query (`?rooms=0001,0002`), a message its room in its first four characters."""
    NODES = "nodes"
    """As `fanout`, over two processes that share a Redis; `--redis` has its URL."""
    ECHO = "echo"
    """A message goes back to its sender as it is."""
    EVENT = "event"
    """`{"type":"post","id":n,"data":{"room":s,"text":s}}` is checked and answered with its data; servers without a
    way to check send it back as it is."""
    QUERY = "query"
    """As `echo`, after one query by primary key."""
    IDLE = "idle"
    """Nothing is sent. Frameworks accept behind a dependency, as applications do."""
    IMAGES = "images"
    """The handler of a binary message takes a while and then sends its length and its first 64 bytes as text."""
