"""Placeholder for the first end-to-end run."""

from __future__ import annotations

from collections.abc import Callable
import socket
from roomful.probe.options import Options
from roomful.probe.traffic import Traffic

__all__ = ("Evidence",)


class Evidence:
    def __init__(self, options: Options, clock: Callable[[], float]) -> None: ...
    def start(self) -> None: ...
    async def stop(self) -> dict[str, object]:
        return {}

    def connected(self, sock: socket.socket) -> None: ...
    def server_now(self) -> dict[str, object] | None:
        return None

    def memory_now(self) -> int | None:
        return None

    def watch(self, traffic: Traffic | None) -> None: ...
