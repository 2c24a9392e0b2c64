"""ASGI framing: WebSocket messages as the dicts that `send` takes.

A frame is shared between members, so its dicts are never handed out: the wire copies each one as it sends it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

from ..core.ports import Frame, Message

__all__ = ("ASGI_FRAMING", "AsgiFraming", "SendMessage")

SendMessage: TypeAlias = dict[str, object]


class AsgiFraming:
    """Implements the port `Framing`; `Frame.data` is a tuple of pairs of a `websocket.send` event and its size."""

    __slots__ = ()

    def frame(self, messages: Sequence[Message]) -> Frame:
        """Return one frame that holds these messages."""
        events = tuple((_event(message), len(message.data) + len(message.tail)) for message in messages)
        return Frame(events, sum(size for _, size in events))

    def text(self, data: bytes) -> object:
        """Return the event of one text message."""
        return (({"type": "websocket.send", "text": data.decode()}, len(data)),)

    def concat(self, parts: Sequence[object]) -> object:
        """Return the events of what `text` and `join` returned, in order."""
        return tuple(event for part in parts for event in part)  # type: ignore[attr-defined] # made here

    def size(self, part: object) -> int:
        """Return the bytes of what `text` or `join` returned."""
        return sum(size for _, size in part)  # type: ignore[attr-defined] # made here

    def join(self, frames: Sequence[Frame]) -> object:
        """Return the events of these frames, in order."""
        if len(frames) == 1:
            return frames[0].data
        return tuple(event for frame in frames for event in frame.data)  # type: ignore[attr-defined] # made by `frame`


def _event(message: Message) -> SendMessage:
    if message.is_text:
        return {"type": "websocket.send", "text": message.data.decode()}
    return {"type": "websocket.send", "bytes": b"".join((message.data, message.tail))}


ASGI_FRAMING: Final = AsgiFraming()
