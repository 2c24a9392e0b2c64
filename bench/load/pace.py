"""The meter: what a server used between two moments, per message, and whether the load itself kept up."""

from __future__ import annotations

import time

from bench.load.carrier import Carrier
from bench.process import Server, Usage
from bench.sample import Sample

__all__ = ("Meter",)

_FULL = 0.97
_NOT_FULL = 0.9


class Meter:
    """Measures from when it is made until `stop`."""

    def __init__(self, server: Server, carrier: Carrier) -> None:
        self._server = server
        self._carrier = carrier
        self._before: Usage = server.usage()
        self._own_before = carrier.busy_s()
        self._began = time.perf_counter()

    def stop(self, messages: int, sample: Sample) -> None:
        """Write the figures of `messages` messages (deliveries, echoes) into a sample."""
        wall_s = time.perf_counter() - self._began
        own_s = self._carrier.busy_s() - self._own_before
        after, before = self._server.usage(), self._before
        figures = sample.figures
        figures["messages"] = messages
        figures["wall_s"] = wall_s
        figures["rate"] = messages / wall_s
        figures["load_share"] = own_s / wall_s
        if not messages:
            return
        figures["cpu_s"] = (after.cpu_s - before.cpu_s) / messages
        figures["server_share"] = (after.cpu_s - before.cpu_s) / wall_s
        for name in ("writes", "reads", "waits"):
            one, other = getattr(before, name), getattr(after, name)
            if one is not None and other is not None and other > one:
                figures[name] = (other - one) / messages
        if writes := figures.get("writes"):
            figures["batch"] = 1 / writes
        if figures["load_share"] > _FULL and figures["server_share"] < _NOT_FULL:
            sample.remarks.append("the load's core was full and the server's was not: its rate may be higher")
