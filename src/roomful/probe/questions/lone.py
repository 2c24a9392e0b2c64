"""One message on one connection, and a ping on another while it is handled.

It tells a handler that awaits from one that holds the whole loop: only the second delays the ping. And what CPU time
the server's processes had for it tells computing from blocking. No load is needed for that, so a busy machine
disturbs it little; how much it does is measured too.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from statistics import median
from typing import Final

from roomful.probe.connection import Connection
from roomful.probe.evidence.processes import Cost
from roomful.probe.fleet import Fleet
from roomful.probe.generator import run_delay_s
from roomful.probe.marks import Marker, find_mark
from roomful.probe.payloads import make_recipe
from roomful.probe.template import Template

__all__ = ("ask_lone",)

_RUN: Final = "lonely"
_SIZE: Final = 128
_ROUNDS: Final = 16
_LEAST_ROUNDS: Final = 4
_TIME_S: Final = 1.5
_TIMEOUT_S: Final = 3.0
_MOST_WAIT_S: Final = 0.1


class _Ear:
    """Hear the answer to one message."""

    def __init__(self) -> None:
        self.seq = -1
        self.heard = asyncio.Event()
        self.at = 0.0

    def received(self, connection: Connection, messages: list[tuple[int, bytes, int, int]]) -> None:
        """Note an answer; where answers carry no mark, any will do."""
        for _, data, start, end in messages:
            found = find_mark(data, start, end)[1]
            if found is None or (found.run == _RUN.encode() and found.seq == self.seq):
                self.at = self.at or time.perf_counter()
                self.heard.set()

    def resumed(self, connection: Connection) -> None:
        """Nothing waits here."""

    def closed(self, connection: Connection) -> None:
        """End the waiting."""
        self.heard.set()


async def ask_lone(
    fleet: Fleet, *, binary: bool, clock: Callable[[], float], cost: Callable[[], Cost | None]
) -> dict[str, object]:
    """Ask a dozen times, for a second and a half or so.

    Args:
        fleet: Two of its connections are used.
        binary: Whether messages are binary.
        clock: Seconds since the run began.
        cost: What the server's processes had; `None` when that cannot be seen.

    Raises:
        Unreachable: two connections cannot be opened.
    """
    at_s = clock()
    if not fleet.whole:
        await fleet.close()
    asked, beside, *_ = await fleet.open(2)
    ear = _Ear()
    asked.listener = ear
    recipe = make_recipe("binary" if binary else "text", _SIZE)
    template = Template(recipe, fleet.adapter.around(0), asked.key_byte)
    marker = Marker(_RUN, 0)
    rounds: list[dict[str, object]] = []
    echoes: list[float] = []
    own, began = time.process_time(), time.perf_counter()
    for number in range(_ROUNDS):
        if number >= _LEAST_ROUNDS and time.perf_counter() - began > _TIME_S:
            break
        before_s = await beside.ping(timeout_s=_TIMEOUT_S)
        ear.seq, ear.at = number, 0.0
        ear.heard.clear()
        t_s, first, own_first, start = clock(), cost(), run_delay_s(), time.perf_counter()
        asked.write(b"".join(template.parts(marker.mark(number, 0)[0])))
        # While it is being handled, not before: the server may look at the other connection first.
        await asyncio.sleep(min(median(echoes) / 4, _MOST_WAIT_S) if echoes else 0)
        after_s = time.perf_counter() - start
        during_s = await beside.ping(timeout_s=_TIMEOUT_S)
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                await ear.heard.wait()
        except TimeoutError:
            pass
        spent_s, last, own_last = time.perf_counter() - start, cost(), run_delay_s()
        echo_s = ear.at - start if ear.at else None
        if echo_s is not None:
            echoes.append(echo_s)
        rounds.append(
            {
                "t_s": round(t_s, 4),
                "echo_s": echo_s,
                "ping_before_s": before_s,
                "ping_after_s": round(after_s, 6),
                "ping_during_s": during_s,
                "spent_s": round(spent_s, 6),
                "cpu_s": None if first is None or last is None else round(last.cpu_s - first.cpu_s, 6),
                "waited_s": None
                if first is None or last is None
                else round(last.waited_s - first.waited_s, 6),
                "own_waited_s": None
                if own_first is None or own_last is None
                else round(own_last - own_first, 6),
            }
        )
        if asked.end is not None or beside.end is not None:
            break
    asked.listener = None
    return {
        "at_s": round(at_s, 4),
        "size": _SIZE,
        "rounds": rounds,
        "own_cpu_s": round(time.process_time() - own, 6),
    }
