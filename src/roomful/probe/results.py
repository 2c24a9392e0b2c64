"""The result: versioned values that say all that was measured. Terminal and page are views of it.

Times named `at_s` or `t_s` count from the run's start, except in rows of a trial, which count from its own.
Nothing here computes; a value that is unknown is `None`, never zero.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Final

from roomful.probe.findings import Diagnosis, diagnosis_to_json
from roomful.probe.tally import Latency, Row

__all__ = (
    "SCHEMA",
    "Cell",
    "Cliff",
    "Close",
    "Generator",
    "Goal",
    "Missing",
    "Outcome",
    "Result",
    "Trial",
    "TrialSpec",
    "to_json",
)

SCHEMA: Final = "roomful.probe/1"
"""Changes with every change that a reader must know of; fields are added without one."""


class Outcome(Enum):
    """What a trial says about the server."""

    GOOD = "good"
    BAD = "bad"
    INVALID = "invalid"
    """It says nothing: the generator was late, the server had not recovered, or the run was stopped."""


@dataclass(frozen=True, slots=True)
class TrialSpec:
    """One load: what, how much, how fast, from how many.

    Attributes:
        purpose: `baseline`, `estimate`, `size`, `burst`, `rate` or `load`.
        payload: `text`, `binary`, `png` or `jpeg`.
        size: Bytes of a message, without what an adapter puts around it.
        rate: Messages a second over all clients.
        clients: Connections.
        count: Messages over all clients.
        shape: `constant`, `ramp`, `burst`, or `window` for an estimate.
        burst: Messages at once in a burst, or under way in a window.
        stop_early: Whether the trial may end as soon as its outcome is certain.
    """

    purpose: str
    payload: str
    size: int
    rate: float
    clients: int
    count: int
    shape: str = "constant"
    burst: int = 1
    stop_early: bool = True


@dataclass(frozen=True, slots=True)
class Close:
    """The end of a connection during a trial, from the trial's start.

    Attributes:
        client: Whose.
        t_s: When.
        code, reason: As the server said; 1006 when it said nothing.
        error: What the socket said, when it broke.
        quiet_s: How long nothing had come on it.
        under_way: Messages that were handed over on it and had not come back.
    """

    client: int
    t_s: float
    code: int
    reason: str
    error: str
    quiet_s: float | None = None
    under_way: int | None = None


@dataclass(frozen=True, slots=True)
class Missing:
    """What one receiver lost of one sender.

    Attributes:
        receiver, sender: Their numbers.
        sent: How many messages the sender sent.
        lost: How many of them are lost.
        first, last: The lowest and the highest sequence that is lost.
        longest: The longest run of neighbours that is lost.
    """

    receiver: int
    sender: int
    sent: int
    lost: int
    first: int
    last: int
    longest: int


@dataclass(frozen=True, slots=True)
class Generator:
    """How well the load was made.

    Attributes:
        late_p50_s, late_p99_s, late_max_s: After their intended time, unhindered messages were handed over so late.
        cpu: Share of one core that this process had.
        waiting: Share of the time in which it was ready to run and did not (`None` when the kernel does not say).
    """

    late_p50_s: float
    late_p99_s: float
    late_max_s: float
    cpu: float
    waiting: float | None


@dataclass(frozen=True, slots=True)
class Goal:
    """A goal and what was measured; `kept` is `None` when it could not be measured."""

    name: str
    value: float | None
    limit: float
    kept: bool | None


@dataclass(frozen=True, slots=True)
class Trial:
    """One load and what became of it.

    Attributes:
        number: Place in the run.
        spec: What was wanted.
        began_at_s, ended_at_s: When, including draining.
        intended, offered, arrived, owed: Messages that were due; of them handed to sockets; first arrivals over all
            receivers; and how many arrivals were owed.
        counts: The ledger's verdicts.
        stale, unmarked: Arrivals from an earlier trial; messages without a mark where one was expected.
        latency: From intended time to arrival.
        growth: Seconds by which latency grew each second; see `tally.growth`.
        served_rate: Arrivals per second and receiver until the last one.
        longest_silence_s: Longest time without any arrival while some were due.
        closes: Connections that ended, the probe's own closes left out.
        generator: How well the load was made.
        goals: What was asked for, and whether it was kept.
        outcome: What the trial says.
        reasons: Why it is bad or invalid.
        drained: Whether all that was under way had come when it ended.
        proven: Whether each missing message is proven to be missing: a later one of its sender has come.
        rows: Its course.
        examples: The first runs of messages for each verdict but *delivered*.
        missing: Where in each sender's messages the lost ones stand, for up to 64 receivers and senders.
        server_pings: How many pings the server sent on the connections of the trial.
    """

    number: int
    spec: TrialSpec
    began_at_s: float
    ended_at_s: float
    intended: int
    offered: int
    arrived: int
    owed: int
    counts: Mapping[str, int]
    stale: int
    unmarked: int
    latency: Latency | None
    growth: float | None
    served_rate: float
    longest_silence_s: float
    closes: tuple[Close, ...]
    generator: Generator
    goals: tuple[Goal, ...]
    outcome: Outcome
    reasons: tuple[str, ...]
    drained: bool
    proven: bool
    rows: tuple[Row, ...] = field(repr=False)
    examples: Mapping[str, tuple[str, ...]] = field(repr=False)
    missing: tuple[Missing, ...] = ()
    server_pings: int = 0

    @property
    def bad_fraction(self) -> float:
        """Lost, late or not offered, as a share of what was owed or intended."""
        bad = sum(self.counts.get(name, 0) for name in ("lost", "late", "not offered"))
        return bad / max(self.owed, 1)


@dataclass(frozen=True, slots=True)
class Cell:
    """The highest good rate of one size and number of clients.

    Attributes:
        payload, size, clients: Which cell.
        good_rate: The highest rate that was good each time it was tried; `None` when none was.
        bad_rate: The lowest rate that was bad; `None` when none was.
        kind: `found` (both are close together), `at_least` (nothing bad was found), `none` (nothing good), `open`
            (time ran out between them) or `invalid` (too many trials said nothing).
        limited_by: For `at_least`, `open` and `invalid`: `generator`, `machine` (busy with other things), `trials`
            (they said nothing), `time` or `ceiling`; `None` where the server could not be reached.
        reasons: Why the lowest bad rate was bad.
        trials: Numbers of its trials.
    """

    payload: str
    size: int
    clients: int
    good_rate: float | None
    bad_rate: float | None
    kind: str
    limited_by: str | None
    reasons: tuple[str, ...]
    trials: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Cliff:
    """An exact border.

    Attributes:
        dimension: `size` in bytes of a message, or `burst` in messages at once.
        unit: `bytes` or `messages`.
        good: The largest value that was good each time; `None` when none was.
        bad: The smallest value that was bad; `None` when none was up to `ceiling`.
        exact: Whether `bad` is `good + 1`, and both were confirmed.
        given_up: Whether the search ended because trial after trial said nothing.
        ceiling: The largest value that was allowed to be tried.
        close_code: With which code the server closed, where it did.
        reasons: Why `bad` was bad.
        trials: Numbers of its trials.
    """

    dimension: str
    unit: str
    good: int | None
    bad: int | None
    exact: bool
    given_up: bool
    ceiling: int
    close_code: int | None
    close_reason: str
    reasons: tuple[str, ...]
    trials: tuple[int, ...]


@dataclass(slots=True)
class Result:
    """A whole run, filled while it goes on, so that it is valid whenever it is stopped."""

    command: str
    target: dict[str, object]
    machine: dict[str, object]
    options: dict[str, object]
    started: str
    schema: str = SCHEMA
    complete: bool = False
    stopped_by: str | None = None
    duration_s: float = 0.0
    baselines: list[dict[str, object]] = field(default_factory=list)
    trials: list[Trial] = field(default_factory=list)
    cells: list[Cell] = field(default_factory=list)
    cliffs: list[Cliff] = field(default_factory=list)
    evidence: dict[str, object] = field(default_factory=dict)
    questions: dict[str, object] = field(default_factory=dict)
    """What the server was asked beside loads; see `questions`."""
    thresholds: list[dict[str, object]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    verdict: dict[str, object] = field(default_factory=dict)
    diagnosis: Diagnosis | None = None

    @property
    def reachable(self) -> bool:
        """Whether the server could be reached whenever that was tried, as far as the baselines tell."""
        return all(baseline.get("reachable") is not False for baseline in self.baselines)


def to_json(value: object) -> object:
    """Return values as what `json.dumps` takes: enums by value, dataclasses as objects, NaN not at all."""
    if isinstance(value, (Result, Trial, Cell, Cliff, TrialSpec, Goal, Generator, Close, Missing)):
        return to_json({name: getattr(value, name) for name in value.__slots__ if not name.startswith("_")})
    if isinstance(value, Diagnosis):
        return diagnosis_to_json(value)
    if isinstance(value, Row):
        return list(asdict(value).values())
    if isinstance(value, Latency):
        return asdict(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {
            str(key.value if isinstance(key, Enum) else key): to_json(each) for key, each in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [to_json(each) for each in value]
    if isinstance(value, float):
        return round(value, 9) if math.isfinite(value) else None
    return value
