"""Compare two servers, or one before and after a change, from results of the same settings on the same machine.

A difference is claimed only when two intervals lie apart. An interval comes from repeats: inside a search every rate is
tried again around the border, and the interval reaches from below the first rate that was ever bad to the first above
which none was good. Several runs of one side are united. Fewer than three runs know nothing of how much runs differ
among themselves, so their intervals are widened by what is usual.
Pure: results in, rows out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from statistics import median
from typing import Final

from roomful.probe.page.figures import count_of
from roomful.probe.page.reading import Node
from roomful.probe.units import format_bytes, format_rate

__all__ = ("Change", "Comparison", "Interval", "Refused", "Row", "compare")

ENOUGH_RUNS: Final = 3
"""From so many runs of a side on, their own spread is taken for the noise."""
RATE_NOISE: Final = 1.15
"""Highest good rates of one server may differ by so much between runs. Four runs of a server with a capacity of 300 a
second found 302 to 313 on a machine with other work; the rest is room for machines that are less even."""
LATENCY_NOISE: Final = 2.0
"""Latencies of one load differ by up to so much between runs: a neighbour on the core doubles what is short."""
_Z: Final = 2.576
"""Of a 99 % interval."""
_MEMORY_TOLERANCE: Final = 0.02
_MACHINE: Final = ("system", "release", "architecture", "cpu", "cores", "python")
_GOOD_KINDS: Final = ("found", "at_least", "open", "none")


class Refused(ValueError):
    """The results must not be compared.

    Attributes:
        differences: What differs, each in words.
    """

    def __init__(self, differences: Sequence[str]) -> None:
        self.differences: tuple[str, ...] = tuple(differences)
        super().__init__(f"not comparable: {'; '.join(differences)}")


class Change(Enum):
    """What became of a measure from A to B."""

    BETTER = "better"
    WORSE = "worse"
    SAME = "within the noise"


@dataclass(frozen=True, slots=True)
class Interval:
    """Where a value lies.

    Attributes:
        value: The measured value, in the middle of several runs; `None` when none was reached.
        low: At least this.
        high: At most this; `None` when nothing bounds it: the search ended before the server did.
        runs: From so many runs.
    """

    value: float | None
    low: float
    high: float | None
    runs: int


@dataclass(frozen=True, slots=True)
class Row:
    """One measure of both sides.

    Attributes:
        what: Of what: a cell, a border or a load.
        measure: Its name.
        unit: `1/s`, `s`, `bytes`, `messages` or `share`.
        more_is_better: Which way is good.
        a, b: Where it lies.
        change: Whether B differs from A beyond the noise, and how.
    """

    what: str
    measure: str
    unit: str
    more_is_better: bool
    a: Interval
    b: Interval
    change: Change

    @property
    def ratio(self) -> float | None:
        """B as a multiple of A."""
        return self.b.value / self.a.value if self.a.value and self.b.value is not None else None


@dataclass(frozen=True, slots=True)
class Comparison:
    """What two sides have in common, and how they differ.

    Attributes:
        a, b: What was probed on each side.
        runs: How many runs each side has.
        rows: All measures that both sides have.
        notes: What limits the comparison: differences that `force` passed over, measures that one side lacks.
    """

    a: str
    b: str
    runs: tuple[int, int]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]

    @property
    def worse(self) -> tuple[Row, ...]:
        """The measures in which B is worse."""
        return tuple(row for row in self.rows if row.change is Change.WORSE)

    @property
    def better(self) -> tuple[Row, ...]:
        """The measures in which B is better."""
        return tuple(row for row in self.rows if row.change is Change.BETTER)

    @property
    def sentence(self) -> str:
        """All of it in a sentence."""
        if not self.rows:
            return "The results have nothing in common that could be compared."
        parts = [
            f"{word} in {len(rows)}"
            for word, rows in (("worse", self.worse), ("better", self.better))
            if rows
        ]
        if not parts:
            return f"B does not differ from A beyond the noise, in {count_of(len(self.rows), 'measure')}."
        return f"B is {' and '.join(parts)} of {count_of(len(self.rows), 'measure')}."


@dataclass(frozen=True, slots=True)
class _Measure:
    """How one kind of measure is read from a result, and by what factor single runs are widened."""

    unit: str
    more_is_better: bool
    noise: float
    read: Callable[[Node], Iterable[tuple[tuple[str, str], Interval]]]


def compare(a: Sequence[object], b: Sequence[object], *, force: bool = False) -> Comparison:
    """Compare the runs of two sides.

    Args:
        a: Results, as `json.loads` made them; several are runs of the same.
        b: Those of the other side.
        force: Whether to compare although something else than the server differs.

    Raises:
        Refused: machines, settings or modes differ, and `force` is not set.
    """
    sides = [Node(each) for each in a], [Node(each) for each in b]
    differences = _differences([*sides[0], *sides[1]])
    if differences and not force:
        raise Refused(differences)
    notes = [f"compared although they differ: {each}" for each in differences]
    notes += _partial(sides)
    rows: list[Row] = []
    for measure in _MEASURES:
        found = [_united(side, measure) for side in sides]
        for key in [*found[0], *(key for key in found[1] if key not in found[0])]:
            if key not in found[0] or key not in found[1]:
                notes.append(f"{key[0]}, {key[1]}: only {'A' if key in found[0] else 'B'} has it")
                continue
            before, after = found[0][key], found[1][key]
            change = _change(before, after, more_is_better=measure.more_is_better)
            rows.append(Row(*key, measure.unit, measure.more_is_better, before, after, change))
    a_name, b_name = (_name(side) for side in sides)
    return Comparison(a_name, b_name, (len(a), len(b)), tuple(rows), tuple(notes))


def _name(side: list[Node]) -> str:
    result = side[0]
    commands = result.node("evidence").node("child").texts("command")
    return " ".join(commands) or result.node("target").text("url") or "no address"


def _differences(results: list[Node]) -> list[str]:
    """Return what differs beside the server."""
    first, found = results[0], []
    for name in _MACHINE:
        values = {str(result.node("machine").get(name)) for result in results}
        if len(values) > 1:
            found.append(f"machine, {name}: {' and '.join(sorted(values))}")
    memory = [
        value for result in results if (value := result.node("machine").number("memory_bytes")) is not None
    ]
    if memory and max(memory) > min(memory) * (1 + _MEMORY_TOLERANCE):
        found.append(f"machine, memory: {format_bytes(min(memory))} and {format_bytes(max(memory))}")
    names = sorted({name for result in results for name, _ in result.node("options").pairs()})
    for name in names:
        wanted = first.node("options").get(name)
        other = next((result for result in results if result.node("options").get(name) != wanted), None)
        if other is not None:
            found.append(f"{name.replace('_', ' ')}: {wanted} and {other.node('options').get(name)}")
    modes = sorted({result.node("target").text("mode", "unknown") for result in results})
    if len(modes) > 1:
        found.append(f"mode: {' and '.join(modes)}")
    return found


def _partial(sides: tuple[list[Node], list[Node]]) -> list[str]:
    return [
        f"a run of {name} ended early ({result.text('stopped_by') or 'unknown why'})"
        for name, side in zip("AB", sides, strict=True)
        for result in side
        if result.flag("complete") is not True
    ]


def _united(side: list[Node], measure: _Measure) -> dict[tuple[str, str], Interval]:
    """Return the intervals of all runs of a side as one for each measure."""
    found: dict[tuple[str, str], list[Interval]] = {}
    for result in side:
        for key, interval in measure.read(result):
            found.setdefault(key, []).append(interval)
    united = {}
    for key, intervals in found.items():
        low = min(each.low for each in intervals)
        highs = [each.high for each in intervals]
        bounds = [each for each in highs if each is not None]
        high = max(bounds) if len(bounds) == len(highs) else None
        if len(intervals) < ENOUGH_RUNS:
            low, high = low / measure.noise, None if high is None else high * measure.noise
        values = [each.value for each in intervals if each.value is not None]
        united[key] = Interval(median(values) if values else None, low, high, len(intervals))
    return united


def _change(a: Interval, b: Interval, *, more_is_better: bool) -> Change:
    if a.high is not None and b.low > a.high:
        return Change.BETTER if more_is_better else Change.WORSE
    if b.high is not None and a.low > b.high:
        return Change.WORSE if more_is_better else Change.BETTER
    return Change.SAME


def _cells(result: Node) -> Iterable[tuple[tuple[str, str], Interval]]:
    by_number = {trial.whole("number"): trial for trial in result.nodes("trials")}
    for cell in result.nodes("cells"):
        if cell.text("kind") not in _GOOD_KINDS:
            continue
        trials = [by_number[int(number)] for number in cell.numbers("trials") if int(number) in by_number]
        tried = [
            (rate, trial.text("outcome"))
            for trial in trials
            if trial.node("spec").text("purpose") == "rate"
            and (rate := trial.node("spec").number("rate")) is not None
        ]
        good = [rate for rate, outcome in tried if outcome == "good"]
        bad = [rate for rate, outcome in tried if outcome == "bad"]
        if not good and not bad:
            continue
        sound = [rate for rate in good if rate < min(bad, default=math.inf)]
        hopeless = [rate for rate in bad if rate > max(good, default=0.0)]
        what = f"{format_bytes(cell.number('size') or 0)} from {count_of(cell.whole('clients'), 'client')}"
        yield (
            (what, "highest good rate"),
            Interval(cell.number("good_rate"), max(sound, default=0.0), min(hopeless, default=None), 1),
        )


def _sizes(result: Node) -> Iterable[tuple[tuple[str, str], Interval]]:
    return _cliffs(result, "size", "largest message")


def _bursts(result: Node) -> Iterable[tuple[tuple[str, str], Interval]]:
    return _cliffs(result, "burst", "most messages at once")


def _cliffs(result: Node, dimension: str, name: str) -> Iterable[tuple[tuple[str, str], Interval]]:
    for cliff in result.nodes("cliffs"):
        if cliff.text("dimension") != dimension:
            continue
        good, bad = cliff.number("good"), cliff.number("bad")
        if good is None and bad is None:
            continue
        high = None if bad is None else max(bad - 1, good or 0.0)
        yield ("one client", name), Interval(good, good or 0.0, high, 1)


def _loads(result: Node) -> Iterable[tuple[str, Node]]:
    """Return the loads that say something, each with its name."""
    for trial in result.nodes("trials"):
        spec = trial.node("spec")
        if spec.text("purpose") != "load" or trial.text("outcome") not in ("good", "bad"):
            continue
        at_once = f", {spec.whole('burst')} at once" if spec.text("shape") == "burst" else ""
        size, clients = format_bytes(spec.number("size") or 0), count_of(spec.whole("clients"), "client")
        yield f"{format_rate(spec.number('rate') or 0)} of {size} from {clients}{at_once}", trial


def _latencies(result: Node) -> Iterable[tuple[tuple[str, str], Interval]]:
    for what, trial in _loads(result):
        for name in ("p50", "p99"):
            value = trial.node("latency").number(f"{name}_s")
            if value is not None:
                yield (what, f"latency, {name}"), Interval(value, value, value, 1)


def _faults(result: Node) -> Iterable[tuple[tuple[str, str], Interval]]:
    for what, trial in _loads(result):
        owed = trial.whole("owed")
        if owed:
            counts = trial.node("counts")
            for name, verdicts in (
                ("lost", ("lost", "told")),
                ("late or not offered", ("late", "not offered")),
            ):
                bad = min(sum(counts.whole(each) for each in verdicts), owed)
                yield (what, name), _wilson(bad, owed)


def _wilson(number: int, of: int) -> Interval:
    """Return a share with its 99 % interval (Wilson's)."""
    share, square = number / of, _Z * _Z / of
    middle = (share + square / 2) / (1 + square)
    half = _Z / (1 + square) * math.sqrt(share * (1 - share) / of + square / (4 * of))
    return Interval(share, max(middle - half, 0.0), min(middle + half, 1.0), 1)


_MEASURES: Final = (
    _Measure("1/s", more_is_better=True, noise=RATE_NOISE, read=_cells),
    # A size limit is exact to the byte, and no run differs from another.
    _Measure("bytes", more_is_better=True, noise=1.0, read=_sizes),
    _Measure("messages", more_is_better=True, noise=RATE_NOISE, read=_bursts),
    _Measure("s", more_is_better=False, noise=LATENCY_NOISE, read=_latencies),
    # Its interval counts messages, not runs: a share of what was owed.
    _Measure("share", more_is_better=False, noise=1.0, read=_faults),
)
