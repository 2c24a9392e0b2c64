"""What makes a trial good, bad, or say nothing. Pure: measures in, outcome and reasons out.

*Bad* is what was lost, came later than the deadline, or could not be offered, as a share of what was intended: over
TCP an overloaded server loses nothing at first, it holds the sender back. A queue that grows is bad too, although
nothing is late yet: at that rate it is only a matter of time.
"""

from __future__ import annotations

from dataclasses import dataclass

from roomful.probe.results import Generator, Goal, Outcome
from roomful.probe.tally import Latency
from roomful.probe.units import format_s

__all__ = ("Goals", "Measured", "judge_trial")

# A server that is in doubt after its connection ended is bad by its close; one that repeats or garbles is bad itself.
_WRONG = ("duplicate", "reordered", "corrupted", "phantom", "told")
_STARVED = 0.6
"""A machine that leaves us less than the rest may leave the server nothing at all."""
_BUSY = 0.9
"""From this share of one core on, this process may be what is slow."""


@dataclass(frozen=True, slots=True)
class Goals:
    """The limits of a good trial.

    Attributes:
        deadline_s: What arrives later than this after its intended time is late.
        bad_fraction: So much may be bad.
        p99_s: 99 of 100 latencies are to be at most this; by default the deadline.
        closes: So many connections may be closed by the server.
        growth: Latency may grow by so many seconds each second.
        generator_late_s: From this p99 of the generator's own lateness on, a trial says nothing; by default a tenth
            of the deadline.
        generator_waiting: From this share of the time on in which the generator waited for a core, a trial that
            misses a goal says nothing: the machine is busy with other things, and a server on it is starved too.
            A quiet machine shows 1 to 3 %; at 15 to 25 % a planted capacity was measured up to 30 % too low.
    """

    deadline_s: float = 1.0
    bad_fraction: float = 0.0
    p99_s: float | None = None
    closes: int = 0
    growth: float = 0.02
    generator_late_s: float | None = None
    generator_waiting: float = 0.12

    @property
    def late_limit_s(self) -> float:
        """The generator's own limit."""
        if self.generator_late_s is not None:
            return self.generator_late_s
        return min(self.deadline_s, self.p99_s or self.deadline_s) / 10


@dataclass(frozen=True, slots=True)
class Measured:
    """What a trial measured, as far as goals look at it."""

    owed: int
    counts: dict[str, int]
    latency: Latency | None
    growth: float | None
    closes: int
    generator: Generator
    drained: bool
    settled: bool
    interrupted: bool = False
    silent: bool = False
    """Nothing came any more, not even the answer to a canary, however long it was waited for."""


def judge_trial(measured: Measured, goals: Goals) -> tuple[Outcome, tuple[Goal, ...], tuple[str, ...]]:
    """Return what the trial says, each goal with what was measured, and the reasons in words."""
    counts = measured.counts
    bad = sum(counts.get(name, 0) for name in ("lost", "late", "not offered"))
    fraction = bad / max(measured.owed, 1)
    wrong = sum(counts.get(name, 0) for name in _WRONG)
    p99_limit = goals.p99_s or goals.deadline_s
    p99 = None if measured.latency is None else measured.latency.p99_s
    kept = (
        Goal("bad fraction", fraction, goals.bad_fraction, fraction <= goals.bad_fraction),
        Goal("p99_s", p99, p99_limit, None if p99 is None else p99 <= p99_limit),
        Goal("closes", measured.closes, goals.closes, measured.closes <= goals.closes),
        Goal("wrong", wrong, 0, wrong == 0),
        Goal(
            "growth",
            measured.growth,
            goals.growth,
            None if measured.growth is None else measured.growth <= goals.growth,
        ),
    )
    reasons = [text for name in ("lost", "told") if (text := _count(counts, name))]
    if measured.closes > goals.closes:
        reasons.append(f"{measured.closes} connection{'s' * (measured.closes > 1)} closed by the server")
    reasons += [text for name in ("in doubt", *_WRONG[:-1]) if (text := _count(counts, name))]
    if fraction > goals.bad_fraction:
        reasons += [text for name in ("late", "not offered") if (text := _count(counts, name))]
    if p99 is not None and p99 > p99_limit:
        reasons.append(f"p99 {format_s(p99)}")
    if measured.growth is not None and measured.growth > goals.growth:
        reasons.append(f"queue grows: latency +{format_s(measured.growth)} a second")
    if measured.owed and p99 is None:
        reasons.append("nothing came back")
    if not measured.drained and not reasons:
        reasons.append("not drained")
    failed = (
        any(goal.kept is False for goal in kept)
        or (measured.owed > 0 and p99 is None)
        or not measured.drained
    )
    says_nothing = _invalid(measured, goals, failed=failed)
    if says_nothing:
        return Outcome.INVALID, kept, (says_nothing, *reasons)
    return (Outcome.BAD if failed else Outcome.GOOD), kept, tuple(reasons)


def _invalid(measured: Measured, goals: Goals, *, failed: bool) -> str | None:
    if measured.interrupted:
        return "interrupted"
    if failed and not measured.settled:
        return "the server had not recovered from the trial before"
    certain = (
        measured.closes > goals.closes
        or measured.counts.get("lost", 0)
        or measured.counts.get("corrupted", 0)
        or (measured.silent and (measured.generator.waiting or 0.0) < _STARVED)
    )
    if certain and failed:
        # What is gone is gone, however late it was sent, and silence is not a matter of milliseconds.
        return None
    generator = measured.generator
    if generator.late_p99_s > goals.late_limit_s:
        return f"generator late: p99 {format_s(generator.late_p99_s)}, allowed {format_s(goals.late_limit_s)}"
    waiting = generator.waiting or 0.0
    if failed and generator.cpu + min(waiting, goals.generator_waiting) > _BUSY:
        return f"generator busy: {generator.cpu + waiting:.0%} of a core used or waited for"
    if failed and waiting > goals.generator_waiting:
        return f"generator starved: {waiting:.0%} of the time it waited for a core"
    return None


def _count(counts: dict[str, int], name: str) -> str | None:
    number = counts.get(name, 0)
    return f"{number:,} {name}" if number else None
