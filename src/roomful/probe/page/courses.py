"""The course of a run: lines over time, made from trials and samples of evidence.

Pure: the JSON in, points out. A line has so many points at most, and each is the worst of its stretch of time, so that
a short trouble is never averaged away.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Final, TypeAlias

from roomful.probe.page.reading import Node, number

__all__ = (
    "Line",
    "bucketed",
    "cpu",
    "generator_cpu",
    "pings",
    "processes",
    "rates",
    "rows",
    "sampled",
    "socket",
)

Point: TypeAlias = "tuple[float, float]"
Line: TypeAlias = "list[tuple[float, float | None]]"

_POINTS: Final = 200
_STEPS: Final = 20
"""Into so many a value that holds for a whole trial is divided, so that its line has no gap."""
_GAP_BUCKETS: Final = 4
"""So many empty stretches break a line: what happened there was not seen."""
# The places of a row's fields; `docs/reference/probe.md` names them.
ROW_T, ROW_DUE, ROW_OFFERED, ROW_ARRIVED, ROW_COUNT, ROW_MEDIAN, ROW_MAX, ROW_PAUSED, ROW_UNSENT = range(9)


def bucketed(points: Iterable[Point], end: float, pick: Callable[[list[float]], float] = max) -> Line:
    """Return at most 200 points of a run that ended at `end`, each picked from its stretch of time."""
    buckets: defaultdict[int, list[float]] = defaultdict(list)
    width = max(end, 1e-9) / _POINTS
    for place, value in points:
        if place >= 0:
            buckets[min(int(place / width), _POINTS - 1)].append(value)
    line: Line = []
    last: int | None = None
    usual = _usual_distance(sorted(buckets))
    for bucket in sorted(buckets):
        if last is not None and bucket - last > max(_GAP_BUCKETS, 3 * usual):
            line.append(((last + 1) * width, None))
        line.append(((bucket + 0.5) * width, pick(buckets[bucket])))
        last = bucket
    return line


def _usual_distance(places: list[int]) -> int:
    distances = sorted(late - early for early, late in pairwise(places))
    return distances[len(distances) // 2] if distances else 1


def rows(result: Node, place: int, scale: float = 1.0) -> list[Point]:
    """Return one field of all trials' rows; rows in which no message came have no latency."""
    points = []
    for trial in result.nodes("trials"):
        began = trial.number("began_at_s") or 0.0
        for row in trial.items("rows"):
            if not isinstance(row, list) or len(row) <= place:
                continue
            at, value = number(row[ROW_T]), number(row[place])
            if at is None or value is None or (place in (ROW_MEDIAN, ROW_MAX) and not number(row[ROW_COUNT])):
                continue
            points.append((began + at, value * scale))
    return points


def rates(result: Node, place: int) -> list[Point]:
    """Return by how much a total of the rows rose each second, once for each receiver."""
    broadcast = result.node("target").text("mode") == "broadcast"
    points = []
    for trial in result.nodes("trials"):
        began = trial.number("began_at_s") or 0.0
        clients = trial.node("spec").number("clients") or 1.0
        each = 1.0 / clients if broadcast and place == ROW_ARRIVED else 1.0
        found = [
            (number(row[ROW_T]), number(row[place]))
            for row in trial.items("rows")
            if isinstance(row, list) and len(row) > place
        ]
        known = [(0.0, 0.0), *((at, value) for at, value in found if at is not None and value is not None)]
        # Over four rows, as a single one holds only a few messages; at the end what is left.
        for early, late in zip(known, known[4:] or known[-1:], strict=False):
            # Nothing is due between two bursts, nor behind the last message: that is no rate of 0.
            idle = place == ROW_DUE and late[1] == early[1]
            if late[0] > early[0] and not idle:
                points.append((began + late[0], (late[1] - early[1]) / (late[0] - early[0]) * each))
    return points


def samples(result: Node, source: str) -> list[Node]:
    """Return the samples of a source."""
    return result.node("evidence").node("samples").nodes(source)


def sampled(result: Node, source: str, name: str, scale: float = 1.0) -> list[Point]:
    """Return one field of a source's samples."""
    return [
        (at, value * scale)
        for sample in samples(result, source)
        if (at := sample.number("t_s")) is not None and (value := sample.number(name)) is not None
    ]


def socket(result: Node, name: str) -> list[Point]:
    """Return one sum over the sockets at the server's port, of both ends where both are here."""
    return [
        (at, value)
        for sample in samples(result, "sockets")
        if (at := sample.number("t_s")) is not None
        and (value := sample.node("totals").number(name)) is not None
    ]


def pings(result: Node) -> list[Point]:
    """Return round trips of pings on connections that carry nothing else."""
    return sampled(result, "ping", "rtt_s")


def processes(result: Node, name: str) -> list[Point]:
    """Return one field summed over the server's processes."""
    points = []
    for sample in samples(result, "processes"):
        at = sample.number("t_s")
        values = [found for each in sample.nodes("processes") if (found := each.number(name)) is not None]
        if at is not None and values:
            points.append((at, sum(values)))
    return points


def cpu(result: Node, name: str = "cpu_s") -> list[Point]:
    """Return which share of a core the busiest of the server's processes used, or waited for (`run_delay_s`)."""
    last: dict[int, Point] = {}
    points = []
    for sample in samples(result, "processes"):
        at = sample.number("t_s")
        if at is None:
            continue
        shares = []
        for each in sample.nodes("processes"):
            value, pid = each.number(name), each.whole("pid")
            if value is None:
                continue
            if pid in last and at > last[pid][0]:
                shares.append(max(value - last[pid][1], 0.0) / (at - last[pid][0]))
            last[pid] = (at, value)
        if shares:
            points.append((at, max(shares)))
    return points


def generator_cpu(result: Node) -> list[Point]:
    """Return which share of a core the probe itself used, from the start of each trial to its end."""
    points = []
    for trial in result.nodes("trials"):
        share = trial.node("generator").number("cpu")
        start, end = trial.number("began_at_s"), trial.number("ended_at_s")
        if share is not None and start is not None and end is not None:
            step = (end - start) / _STEPS
            points += [(start + number * step, share) for number in range(_STEPS + 1)]
    return points
