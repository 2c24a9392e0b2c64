"""What interventions measure: one number of a server that has just been started, within seconds.

Each is the border that a cause moves, and nothing more; a whole run is not needed for it.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from roomful.probe.adapter import load_adapter
from roomful.probe.connection import Connection
from roomful.probe.diagnosis.reading import quarter
from roomful.probe.fleet import Fleet
from roomful.probe.marks import Marker
from roomful.probe.mode import Mode
from roomful.probe.opening import open_connection
from roomful.probe.options import Options
from roomful.probe.payloads import make_recipe
from roomful.probe.questions.idle import Ending
from roomful.probe.questions.lone import ask_lone
from roomful.probe.questions.storm import LATE_S, in_time, open_in_turn, open_together
from roomful.probe.results import TrialSpec
from roomful.probe.search import CliffSearch
from roomful.probe.searches import SIZE_HINTS, small_payload
from roomful.probe.template import Template
from roomful.probe.trial import TrialRunner

__all__ = ("MEASURES", "Measure", "Subject")

_MAX_BYTES: Final = 1 << 30
_LIFE_S: Final = 30.0
_CONNECTIONS: Final = 1024
_FAULTS_OF: Final = 400


@dataclass(frozen=True, slots=True)
class Subject:
    """A server that runs, and how to speak to it.

    Attributes:
        options: Of the run, with the server's URL.
        mode: Who gets what is sent.
        size: Bytes of a message of which faults are counted.
        reach: The largest size that is worth trying.
    """

    options: Options
    mode: Mode
    size: int
    reach: int


@dataclass(frozen=True, slots=True)
class Measure:
    """What is measured, in which unit, and how; `None` when it could not be."""

    unit: str
    take: Callable[[Subject], Awaitable[float | None]]


async def _lone_echo(subject: Subject) -> float | None:
    fleet = _fleet(subject)
    try:
        answer = await ask_lone(
            fleet, binary=subject.options.payload != "text", clock=time.monotonic, cost=lambda: None
        )
    finally:
        await fleet.close(timeout_s=0.3)
    rounds = answer["rounds"]
    assert isinstance(rounds, list), "the question makes it"
    echoes = [each["echo_s"] for each in rounds if each["echo_s"] is not None]
    # A busy machine only adds to a time.
    return quarter(echoes)


async def _largest_size(subject: Subject) -> float | None:
    options = subject.options
    search = CliffSearch(min(1024, subject.reach), ceiling=subject.reach, hints=SIZE_HINTS)
    fleet = _fleet(subject)
    # Two messages: what has not come after a second will not come.
    runner = _runner(subject, fleet, drain_s=1.0)
    try:
        while (size := search.next) is not None and not _close_enough(search):
            trial = await runner.run(TrialSpec("size", options.payload, size, 20.0, 1, 2), search.trials)
            search.tell(trial.outcome)
    finally:
        await fleet.close(timeout_s=0.3)
    return None if search.good is None or search.bad is None else float(search.good)


async def _largest_burst(subject: Subject) -> float | None:
    search = CliffSearch(1, ceiling=max(subject.options.max_burst, 1))
    fleet = _fleet(subject)
    runner = _runner(subject, fleet)
    payload = small_payload(subject.options)
    try:
        while (count := search.next) is not None and not _close_enough(search):
            spec = TrialSpec("burst", payload, 128, float(count), 1, count, "burst", count)
            search.tell((await runner.run(spec, search.trials)).outcome)
    finally:
        await fleet.close(timeout_s=0.3)
    return None if search.good is None or search.bad is None else float(search.good)


def _close_enough(search: CliffSearch) -> bool:
    """Whether the border is known to one in a hundred: what moves it moves it much further."""
    return (
        search.good is not None and search.bad is not None and search.bad - search.good <= search.good / 100
    )


def _share(fault: str) -> Callable[[Subject], Awaitable[float | None]]:
    async def take(subject: Subject) -> float | None:
        fleet = _fleet(subject)
        spec = TrialSpec(
            "load", subject.options.payload, subject.size, 400.0, 4, _FAULTS_OF, stop_early=False
        )
        try:
            trial = await _runner(subject, fleet).run(spec, 0)
        finally:
            await fleet.close(timeout_s=0.3)
        # A fault is one however late it was provoked.
        return trial.counts.get(fault, 0) / trial.owed if trial.owed and trial.drained else None

    return take


async def _connections(subject: Subject) -> float | None:
    found = await open_in_turn(subject.options.target, _CONNECTIONS, list)
    opened = found["opened"]
    assert isinstance(opened, int), "the question makes it"
    return float(opened) if found["error"] is not None else None


async def _storm_in_time(subject: Subject) -> float | None:
    """Return how many of many open in time, the least of three times: at the first a server may be lucky."""
    wanted = max(subject.options.storm, 16)
    seen = [
        in_time(await open_together(subject.options.target, wanted, timeout_s=1.2 * LATE_S)) for _ in range(3)
    ]
    return float(min(seen))


async def _idle_life(subject: Subject) -> float | None:
    connection = await open_connection(subject.options.target, 0, None, max_bytes=_MAX_BYTES)
    return await _life(connection)


async def _keepalive_life(subject: Subject) -> float | None:
    """Return how long a connection lives on which many messages wait."""
    connection = await open_connection(subject.options.target, 0, None, max_bytes=_MAX_BYTES)
    template = _template(subject, connection)
    marker = Marker("busier", 0)
    for seq in range(1000):
        connection.write(b"".join(template.parts(marker.mark(seq, 0)[0])))
    return await _life(connection)


async def _bytes_until_death(subject: Subject) -> float | None:
    """Return how many bytes a server takes until it is gone; four messages are under way."""
    fleet = _fleet(subject)
    spec = TrialSpec("estimate", subject.options.payload, subject.reach, 1.0, 1, int(_LIFE_S), "window", 4)
    try:
        trial = await _runner(subject, fleet).run(spec, 0)
    finally:
        await fleet.close(timeout_s=0.3)
    return float(trial.offered * subject.reach) if trial.closes else None


MEASURES: Final[Mapping[str, Measure]] = MappingProxyType(
    {
        "lone_echo": Measure("s", _lone_echo),
        "largest_size": Measure("bytes", _largest_size),
        "largest_burst": Measure("messages", _largest_burst),
        "reordered_share": Measure("share", _share("reordered")),
        "duplicate_share": Measure("share", _share("duplicate")),
        "corrupted_share": Measure("share", _share("corrupted")),
        "connections": Measure("connections", _connections),
        "storm_in_time": Measure("connections", _storm_in_time),
        "idle_life": Measure("s", _idle_life),
        "keepalive_life": Measure("s", _keepalive_life),
        "bytes_until_death": Measure("bytes", _bytes_until_death),
    }
)


def _fleet(subject: Subject) -> Fleet:
    options = subject.options
    return Fleet(options.target, load_adapter(options.adapter), max_bytes=max(64 << 20, 4 * subject.reach))


def _runner(subject: Subject, fleet: Fleet, *, drain_s: float = 10.0) -> TrialRunner:
    # Here only arriving counts, not when.
    goals = replace(subject.options.goals, deadline_s=60.0, p99_s=None, growth=math.inf)
    return TrialRunner(
        fleet, subject.mode, fleet.adapter, goals, time.monotonic, drain_s=drain_s, canary_s=1.0
    )


def _template(subject: Subject, connection: Connection) -> Template:
    recipe = make_recipe(small_payload(subject.options), 128)
    return Template(recipe, load_adapter(subject.options.adapter).around(0), connection.key_byte)


async def _life(connection: Connection) -> float | None:
    """Return how long a connection lives, `None` when it outlives our patience."""
    began = asyncio.get_running_loop().time()
    ending = Ending()
    connection.listener = ending
    try:
        async with asyncio.timeout(_LIFE_S):
            if connection.end is None:
                await ending.ended.wait()
    except TimeoutError:
        connection.abort()
        return None
    assert connection.end is not None, "it has ended"
    return connection.end.at - began
