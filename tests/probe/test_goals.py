"""What makes a trial good, bad, or say nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from roomful.probe.goals import Goals, Measured, judge_trial
from roomful.probe.results import Generator, Outcome
from roomful.probe.tally import Latency, Row, Tally, growth

ON_TIME = Generator(0.0005, 0.001, 0.002, 0.2, 0.01)
QUICK = Latency(100, 0.001, 0.001, 0.001, 0.002, 0.003, 0.004, 0.005, "")
FINE = Measured(100, {"delivered": 100}, QUICK, 0.0, 0, ON_TIME, drained=True, settled=True)


def outcome(measured: Measured) -> tuple[Outcome, str]:
    """Return outcome and first reason."""
    result, _, reasons = judge_trial(measured, Goals())
    return result, reasons[0] if reasons else ""


def test_all_delivered_in_time_is_good() -> None:
    """And says no reason."""
    assert outcome(FINE) == (Outcome.GOOD, "")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"counts": {"delivered": 99, "lost": 1}}, "1 lost"),
        ({"counts": {"delivered": 99, "late": 1}}, "1 late"),
        ({"counts": {"delivered": 99, "not offered": 1}}, "1 not offered"),
        ({"counts": {"delivered": 100, "duplicate": 2}}, "2 duplicate"),
        ({"counts": {"delivered": 99, "corrupted": 1}}, "1 corrupted"),
        ({"closes": 1}, "1 connection closed by the server"),
        ({"growth": 0.1}, "queue grows: latency +100 ms a second"),
        ({"latency": replace(QUICK, p99_s=1.5)}, "p99 1.5 s"),
        ({"latency": None}, "nothing came back"),
        ({"drained": False}, "not drained"),
    ],
)
def test_each_goal_can_be_missed(changes: dict[str, object], reason: str) -> None:
    """The reason names it."""
    assert outcome(replace(FINE, **changes)) == (Outcome.BAD, reason)  # type: ignore[arg-type]  # fields by name


def test_a_late_generator_says_nothing_whatever_came() -> None:
    """Never *good*, and *bad* only for what is gone."""
    late = replace(ON_TIME, late_p99_s=0.2)
    assert outcome(replace(FINE, generator=late))[0] is Outcome.INVALID
    assert outcome(replace(FINE, generator=late, growth=0.5))[0] is Outcome.INVALID
    lost = replace(FINE, generator=late, counts={"delivered": 99, "lost": 1})
    assert outcome(lost)[0] is Outcome.BAD


def test_silence_is_bad_although_the_machine_is_busy() -> None:
    """No answer for seconds is not what a few milliseconds without a core do; a machine that has nothing left is."""
    silent = replace(FINE, latency=None, drained=False, silent=True)
    starved = replace(ON_TIME, waiting=0.3)
    assert outcome(replace(silent, generator=starved))[0] is Outcome.BAD
    assert outcome(replace(silent, generator=starved, silent=False))[0] is Outcome.INVALID
    assert outcome(replace(silent, generator=replace(ON_TIME, waiting=0.7)))[0] is Outcome.INVALID


def test_a_busy_generator_is_not_the_servers_fault() -> None:
    """Where the load was made at a whole core, slowness may be ours."""
    busy = replace(ON_TIME, cpu=0.7, waiting=0.3)
    assert outcome(replace(FINE, generator=busy))[0] is Outcome.GOOD
    assert outcome(replace(FINE, generator=busy, growth=0.5))[0] is Outcome.INVALID


def test_a_busy_machine_is_not_the_servers_fault() -> None:
    """Who waits for a core a third of the time cannot blame a server on the same machine."""
    starved = replace(ON_TIME, cpu=0.1, waiting=0.35)
    assert outcome(replace(FINE, generator=starved))[0] is Outcome.GOOD
    assert outcome(replace(FINE, generator=starved, growth=0.5))[0] is Outcome.INVALID


def test_growth_of_an_overloaded_queue_is_its_overload() -> None:
    """At 10 % above capacity each second adds 91 ms."""

    def rows(slope: float) -> list[Row]:
        return [Row(n / 20, 0, 0, 0, 5, int(slope * n / 20 * 1e6) + 1000, 0, 0, 0) for n in range(1, 21)]

    assert growth(rows(0.091), until_s=1.0) == pytest.approx(0.091, rel=0.01)
    hiccup = rows(0.0)
    hiccup[9] = replace(hiccup[9], median_us=300_000)
    assert growth(hiccup, until_s=1.0) == pytest.approx(0.0, abs=1e-6)
    assert growth(rows(0.5)[:3], until_s=1.0) is None


def test_growth_is_none_while_a_hiccup_is_worked_off() -> None:
    """A stall of 30 ms late in a trial leaves a step and a slope down, no queue that grows."""
    medians = [5] * 16 + [12, 15, 34, 33, 32, 31, 30, 29, 28, 27, 26, 25, 24]
    rows = [Row((n + 1) / 20, 0, 0, 0, 14, median * 1000, 0, 0, 0) for n, median in enumerate(medians)]
    found = growth(rows, until_s=1.5)
    assert found is not None
    assert found < 0.01


def test_growth_of_a_server_that_works_in_batches_is_none() -> None:
    """Latency rises and falls, and is where it was."""
    rows = [Row((n + 1) / 20, 0, 0, 0, 14, 1000 + n % 5 * 40_000, 0, 0, 0) for n in range(40)]
    found = growth(rows, until_s=2.0)
    assert found is not None
    assert found < 0.02


def test_tally_counts_each_latency_once() -> None:
    """Rows and histogram are fed the same numbers."""
    tally = Tally()
    assert tally.latency() is None
    for start in (0, 50):
        tally.fresh.extend(range(start * 1000, (start + 50) * 1000, 1000))
        tally.row(start / 50, due=0, offered=0, arrived=0, paused=0, unsent_bytes=0)
    latency = tally.latency()
    assert latency is not None
    assert (latency.count, [row.latencies for row in tally.rows]) == (100, [50, 50])
    assert latency.p50_s == pytest.approx(0.049, rel=0.03)
    assert latency.max_s == pytest.approx(0.099, rel=0.01)
