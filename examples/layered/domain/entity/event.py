"""An event: something that happened in a room, told to whoever watches it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ("Event",)


@dataclass(frozen=True, slots=True)
class Event:
    """What happened. The domain's own: no library's event is like it by more than chance."""

    type: str
    content: Mapping[str, str]
