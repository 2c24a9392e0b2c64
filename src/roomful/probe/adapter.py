"""How the probe speaks a server's own protocol: what stands around each message, and what answers mean.

The plain adapter fits any server that returns a message, alone or inside something else. A protocol of one's own is
a small class, named on the command line as `--adapter module:Class`.
An adapter never sees the hot path: what it puts around a message is constant for a connection.
"""

from __future__ import annotations

import importlib
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, cast

from roomful.probe.errors import UsageError

__all__ = ("Adapter", "Around", "EventsAdapter", "PlainAdapter", "Told", "load_adapter")


_END_BYTES: Final = 512
_ROOM: Final = re.compile(rb'"room":\s*"([^"]*)"')
_POSITION: Final = re.compile(rb'"pos":\s*"([A-Za-z0-9_-]{1,32}):(\d{1,19})"')


@dataclass(frozen=True, slots=True)
class Around:
    """Constant text around each message; messages with it travel as text when they are text."""

    before: bytes = b""
    after: bytes = b""


@dataclass(frozen=True, slots=True)
class Told:
    """A notice of the server that it dropped messages.

    Attributes:
        room: Whose numbers they are.
        ranges: First and last number, both included, as the server numbers them.
    """

    room: str
    ranges: tuple[tuple[int, int], ...]


class Adapter(Protocol):
    """What a protocol of one's own implements; no method may block."""

    def greeting(self, client: int) -> Sequence[str | bytes]:
        """Return what client number `client` sends first, such as a login or a join."""

    def greeted(self, client: int, message: bytes) -> bool:
        """Say whether this message of the server ends the greeting; called until it does, if there is a greeting."""

    def around(self, client: int) -> Around:
        """Return what stands around each message that the client sends."""

    def number(self, message: bytes) -> tuple[str, int] | None:
        """Return room and number that the server gave to a message, if notices speak of such numbers."""

    def told(self, message: bytes) -> Told | None:
        """Return the notice of dropped messages that this message is; called for messages without a mark."""


class PlainAdapter:
    """Messages travel as they are."""

    def greeting(self, client: int) -> Sequence[str | bytes]:
        """Send nothing first."""
        return ()

    def greeted(self, client: int, message: bytes) -> bool:
        """Any message ends a greeting."""
        return True

    def around(self, client: int) -> Around:
        """Return what stands around each message."""
        return Around()

    def number(self, message: bytes) -> tuple[str, int] | None:
        """Return room and number, where there are any."""
        return None

    def told(self, message: bytes) -> Told | None:
        """Return the gap notice that this is, if it is one."""
        return None


class EventsAdapter(PlainAdapter):
    """Roomful's events: `{"type", "data"}` to the server, positions and gap notices from it.

    Args:
        type: The type of the events that are sent.
        field: The field of `data` that holds the message; empty when `data` is the message itself.
    """

    def __init__(self, type: str = "post", field: str = "text") -> None:
        start = (
            '{"type":' + json.dumps(type) + ',"data":' + ("{" + json.dumps(field) + ':"' if field else '"')
        )
        self._around = Around(start.encode(), b'"}}' if field else b'"}')

    def around(self, client: int) -> Around:
        """Return what stands around each message."""
        return self._around

    def number(self, message: bytes) -> tuple[str, int] | None:
        """Return room and number, where there are any."""
        # Only the ends are looked at: positions stand outside the data, and messages may be megabytes long.
        ends = message if len(message) < 2 * _END_BYTES else message[:_END_BYTES] + message[-_END_BYTES:]
        room, position = _ROOM.search(ends), _POSITION.search(ends)
        if not room or not position:
            return None
        return _numbered(room[1].decode(errors="replace"), position[1].decode()), int(position[2])

    def told(self, message: bytes) -> Told | None:
        """Return the gap notice that this is, if it is one."""
        if b"roomful.gap" not in message[:4096]:
            return None
        content = _object(message)
        if content.get("type") != "roomful.gap":
            return None
        ranges = content.get("ranges")
        if not isinstance(ranges, list):
            return None
        room = _numbered(str(content.get("room")), str(content.get("epoch")))
        return Told(room, tuple((int(first), int(last)) for first, last in ranges))


def load_adapter(text: str) -> Adapter:
    """Return the adapter that `plain`, `events`, `events:TYPE.FIELD` or `module:Class` names.

    Raises:
        UsageError: there is none of that name.
    """
    if text == "plain":
        return PlainAdapter()
    name, _, rest = text.partition(":")
    if name == "events":
        kind, _, field = rest.partition(".")
        return EventsAdapter(kind or "post", field or ("text" if not rest else ""))
    if not rest:
        raise UsageError(f"adapter is {text!r}; expected plain, events, events:TYPE.FIELD or module:Class")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        return cast("Adapter", getattr(importlib.import_module(name), rest)())
    except (ImportError, AttributeError, TypeError) as error:
        raise UsageError(f"adapter {text!r} cannot be loaded: {error}") from error


def _numbered(room: str, epoch: str) -> str:
    return f"{room} {epoch}"


def _object(message: bytes) -> dict[str, object]:
    try:
        content = json.loads(message)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
