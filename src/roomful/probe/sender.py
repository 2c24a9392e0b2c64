"""One client of a trial: how far it has sent, and what has come to it. It keeps count; `traffic` acts."""

from __future__ import annotations

from roomful.probe.connection import Connection
from roomful.probe.marks import Marker
from roomful.probe.template import Template

__all__ = ("Sender",)


class Sender:
    """One client of a trial, as sender and as receiver."""

    __slots__ = ("arrived", "canaries", "closed", "connection", "marker", "next", "number", "template")

    def __init__(self, connection: Connection, template: Template, run: str) -> None:
        self.connection: Connection = connection
        self.number: int = connection.number
        self.template: Template = template
        self.marker: Marker = Marker(run, self.number)
        self.next: int = 0
        """The first sequence that is not handed to the socket yet."""
        self.arrived: int = 0
        """Messages that came to it for the first time; answers, where those are what comes."""
        self.canaries: set[int] = set()
        """Senders whose canary came."""
        self.closed: bool = connection.end is not None
