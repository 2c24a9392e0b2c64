"""A whole run: reach the server, take a baseline, load or search, take the baseline again, conclude.

It fills its `Result` as it goes, so that whatever stops it leaves what was measured so far.
What to try is `search`'s, what a trial means is `goals`', what it all means is `verdict`'s.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from roomful.probe.adapter import load_adapter
from roomful.probe.detect import detect_mode
from roomful.probe.errors import Unreachable
from roomful.probe.evidence import Evidence
from roomful.probe.fleet import Fleet
from roomful.probe.goals import Goals
from roomful.probe.options import MAX_RATE, Options
from roomful.probe.results import Cell, Cliff, Outcome, Result, Trial, TrialSpec
from roomful.probe.search import CliffSearch, RateSearch
from roomful.probe.settle import Settler
from roomful.probe.target import check_allowed
from roomful.probe.traffic import Mode, Traffic
from roomful.probe.trial import TrialRunner
from roomful.probe.verdict import conclude

__all__ = ("ProbeRun", "View")

_BASELINE_RATE = 40.0
_BASELINE_S = 0.5
_SMALL = 128
_INTERRUPT_S = 2.0
_LEAST_MESSAGES = 24
_LEAST_TRIAL_S, _MOST_TRIAL_S = 0.5, 4.0
# Where WebSocket servers set their limit: 64 KiB, 1 MiB (websockets, Tornado's is 10 MiB), 4 MiB (aiohttp),
# 16 MiB (uvicorn, Jetty) and the like; also without the byte that some count.
SIZE_HINTS = tuple(
    sorted({v - d for p in range(10, 28) for v in (1 << p,) for d in (0, 1)} | {10 << 20, 10**6, 10**7})
)


class View(Protocol):
    """What shows a run while it goes on."""

    def step(self, text: str, *, share: float) -> None:
        """Something begins; `share` of the run's time is over."""

    def traffic(self, traffic: Traffic | None) -> None:
        """A trial's traffic begins, or ends."""

    def trial(self, trial: Trial) -> None:
        """A trial has ended."""


class ProbeRun:
    """One run.

    Args:
        options: What to do.
        result: What to fill.
        view: Who shows it.
        clock: Seconds since the run began.
    """

    def __init__(self, options: Options, result: Result, view: View, *, clock: Callable[[], float]) -> None:
        self.options = options
        self.result = result
        self._view = view
        self._clock = clock
        self._adapter = load_adapter(options.adapter)
        self._fleet = Fleet(options.target, self._adapter, max_bytes=max(64 << 20, 4 * max(options.sizes)))
        self._evidence = Evidence(options, clock)
        self._settler = Settler(self._evidence, self._fleet, binary=options.payload != "text")
        # What is under way when a search's time is over may take so much longer.
        budget_s = options.budget_s if not options.rates else math.inf
        self._runner = TrialRunner(
            self._fleet,
            Mode.ECHO,
            self._adapter,
            options.goals,
            clock,
            drain_s=min(10.0, budget_s * 0.15),
            canary_s=min(5.0, budget_s * 0.1),
            watch=self._watch,
        )
        self._most_trial_s = min(_MOST_TRIAL_S, budget_s / 10)

    async def run(self) -> None:
        """Do it all.

        Raises:
            ProbeError: it cannot go on; what was measured stands in the result.
            asyncio.CancelledError: it was stopped; likewise.
        """
        options = self.options
        options.check()
        check_allowed(options.target, allowed=options.allowed)
        try:
            self._step("reach the server")
            await self._reach()
            self._evidence.start()
            self._step("baseline")
            await self._baseline("before")
            if options.rates:
                await self._loads()
            else:
                await self._searches()
            self._step("baseline again")
            await self._baseline("after")
            self.result.complete = True
        finally:
            self._runner.interrupted = True
            self.result.evidence = await self._evidence.stop()
            await self._fleet.close(timeout_s=0.3)
            self.result.duration_s = round(self._clock(), 3)
            conclude(self.result, options)

    def interrupt(self) -> None:
        """End the trial that is under way, and the run with it; what the trial has measured is kept."""
        self._runner.interrupted = True

    # parts

    async def _reach(self) -> None:
        mode = self.options.mode
        detected = None
        if mode is None:
            detected = await detect_mode(self._fleet, self._adapter, payload=self.options.payload)
            mode = detected.mode
            self._runner.rtt_s = detected.rtt_s
        await self._fleet.open(1)
        connection = self._fleet.connections[0]
        ping_s = await connection.ping(timeout_s=2.0)
        self._runner.mode = mode
        self.result.target |= {
            "mode": mode.value,
            "mode_detected": detected is not None,
            "first_answer_s": None if detected is None else detected.rtt_s,
            "ping_s": ping_s,
            "subprotocol": connection.protocol_name,
        }
        if connection.socket is not None:
            self._evidence.connected(connection.socket)

    async def _baseline(self, when: str) -> None:
        count = int(_BASELINE_RATE * _BASELINE_S)
        spec = TrialSpec("baseline", self._small_payload, _SMALL, _BASELINE_RATE, 1, count)
        try:
            trial = await self._trial(spec)
        except Unreachable as error:
            if when == "before":
                raise
            self.result.baselines.append({"when": when, "reachable": False, "error": str(error)})
            return
        if trial.latency is not None and when == "before":
            self._runner.rtt_s = max(
                trial.latency.p50_s, self._runner.rtt_s if trial.latency.p50_s > 0.2 else 0
            )
        ping_s = await self._fleet.connections[0].ping(timeout_s=2.0) if self._fleet.whole else None
        self.result.baselines.append(
            {
                "when": when,
                "reachable": True,
                "at_s": trial.ended_at_s,
                "trial": trial.number,
                "outcome": trial.outcome.value,
                "p50_s": trial.latency.p50_s if trial.latency else None,
                "p99_s": trial.latency.p99_s if trial.latency else None,
                "ping_s": ping_s,
                "server": self._evidence.server_now(),
            }
        )

    async def _loads(self) -> None:
        options = self.options
        for size in options.sizes:
            for clients in options.clients:
                for rate in options.rates:
                    count = max(1, round(rate * options.duration_s))
                    if options.shape == "ramp":
                        count = max(1, count // 2)
                    self._step(f"{rate:g}/s of {size} bytes from {clients}")
                    spec = TrialSpec(
                        "load", options.payload, size, rate, clients, count, options.shape, options.burst
                    )
                    await self._trial(replace(spec, stop_early=False))

    async def _searches(self) -> None:
        options = self.options
        cells = [(size, clients) for clients in options.clients for size in options.sizes]
        cliffs = bool(options.max_size) + bool(options.max_burst)
        # A cliff takes about twice the time of a cell; what one leaves over the next may use.
        left = len(cells) + 2 * cliffs
        end = self._clock() + options.budget_s

        def share(parts: int) -> float:
            nonlocal left
            allotted = max(end - self._clock(), 0.0) * parts / max(left, 1)
            left -= parts
            return self._clock() + allotted

        largest = None
        if options.max_size:
            largest = await self._find_size(share(2))
        if options.max_burst:
            await self._find_burst(share(2))
        for size, clients in cells:
            until = share(1)
            if largest is not None and size > largest:
                reason = f"larger than the largest message that passes ({largest} bytes)"
                self.result.cells.append(
                    Cell(options.payload, size, clients, None, None, "none", None, (reason,), ())
                )
                continue
            await self._find_rate(size, clients, until)

    async def _find_size(self, until: float) -> int | None:
        """Search for the largest message; return it if there is a border."""
        options = self.options
        start = min(1024, options.max_size)
        search = CliffSearch(start, ceiling=options.max_size, hints=SIZE_HINTS)
        bad: Trial | None = None
        numbers: list[int] = []
        # Here only arriving counts, not when.
        goals = replace(
            options.goals, deadline_s=max(10.0, options.goals.deadline_s), p99_s=None, growth=math.inf
        )
        while (size := search.next) is not None and self._clock() < until:
            self._step(f"largest message: {size} bytes")
            spec = TrialSpec("size", options.payload, size, 20.0, 1, 2)
            trial = await self._trial(spec, goals=goals)
            numbers.append(trial.number)
            if trial.outcome is Outcome.BAD:
                bad = trial
            search.tell(trial.outcome)
        self.result.cliffs.append(_cliff("size", "bytes", search, bad, numbers))
        return search.good if search.bad is not None else None

    async def _find_burst(self, until: float) -> None:
        """Search for the largest number of messages at once."""
        options = self.options
        ceiling = options.max_burst
        goals = replace(
            options.goals, deadline_s=max(60.0, options.goals.deadline_s), p99_s=None, growth=math.inf
        )
        search = CliffSearch(1, ceiling=ceiling)
        bad: Trial | None = None
        numbers: list[int] = []
        while (count := search.next) is not None and (left := until - self._clock()) > 0:
            self._step(f"largest burst: {count} messages")
            spec = TrialSpec("burst", self._small_payload, _SMALL, float(count), 1, count, "burst", count)
            trial = await self._trial(spec, goals=goals)
            numbers.append(trial.number)
            if trial.outcome is Outcome.BAD:
                bad = trial
            search.tell(trial.outcome)
            took = trial.ended_at_s - trial.began_at_s
            if trial.outcome is Outcome.GOOD and took > 1.0 and not search.done and search.bad is None:
                # A slow server needs its time for a large burst; do not begin what will not end.
                search.lower_ceiling(max(count, int(count * left / 3 / took)))
        self.result.cliffs.append(_cliff("burst", "messages", search, bad, numbers))

    async def _find_rate(self, size: int, clients: int, until: float) -> None:
        options = self.options
        self._step(f"highest rate of {size} bytes from {clients}")
        numbers: list[int] = []
        try:
            guess = await self._estimate(size, clients, numbers)
        except Unreachable as error:
            cell = Cell(
                options.payload, size, clients, None, None, "invalid", None, (str(error),), tuple(numbers)
            )
            self.result.cells.append(cell)
            if len(self.result.cells) == 1:
                raise
            return
        # Three gibibytes a second are beyond any loopback; beyond that a rate is a mistake.
        ceiling = min(MAX_RATE, 3e9 / size)
        search = RateSearch(min(guess * 0.8, ceiling), ceiling=ceiling, floor=min(0.5, guess))
        bad: Trial | None = None
        trial_s = min(max((until - self._clock()) / 12, _LEAST_TRIAL_S), 1.5)
        while (rate := search.next) is not None and self._clock() < until:
            seconds = min(max(trial_s, _LEAST_MESSAGES / rate), self._most_trial_s)
            count = max(int(rate * seconds), 4)
            self._step(f"{size} bytes from {clients}: {rate:,.4g}/s")
            trial = await self._trial(TrialSpec("rate", options.payload, size, rate, clients, count))
            numbers.append(trial.number)
            if trial.outcome is Outcome.BAD and (search.bad is None or rate <= search.bad):
                bad = trial
            overloaded = trial.growth is not None and trial.growth > options.goals.growth
            search.tell(
                trial.outcome,
                served_rate=trial.served_rate if overloaded or trial.counts.get("late") else None,
                by_generator=any(reason.startswith("generator") for reason in trial.reasons),
            )
        kind = search.kind
        limited_by = search.limited_by if search.done else "time"
        self.result.cells.append(
            Cell(
                options.payload,
                size,
                clients,
                search.good,
                search.bad,
                kind,
                limited_by if kind in ("at_least", "open") else None,
                bad.reasons if bad is not None else (),
                tuple(numbers),
            )
        )

    async def _estimate(self, size: int, clients: int, numbers: list[int]) -> float:
        """Return what a closed loop with a few messages under way reaches."""
        window = max(min(16, (4 << 20) // size), 2)
        spec = TrialSpec("estimate", self.options.payload, size, 1000.0, clients, 300, "window", window)
        trial = await self._trial(spec, goals=replace(self.options.goals, growth=math.inf))
        numbers.append(trial.number)
        return max(trial.served_rate, 0.5)

    async def _trial(self, spec: TrialSpec, *, goals: Goals | None = None) -> Trial:
        settled = await self._settler.settle(self._runner.rtt_s)
        self._runner.goals = goals or self.options.goals
        trial = await self._runner.run(spec, len(self.result.trials), settled=settled)
        self.result.trials.append(trial)
        self._view.trial(trial)
        if self._runner.interrupted:
            raise asyncio.CancelledError
        return trial

    @property
    def _small_payload(self) -> str:
        return self.options.payload if self.options.payload in ("text", "binary") else "binary"

    def _step(self, text: str) -> None:
        total = self.options.budget_s + 4 * _BASELINE_S
        if self.options.rates:
            loads = len(self.options.sizes) * len(self.options.clients) * len(self.options.rates)
            total = loads * (self.options.duration_s + 0.5) + 4 * _BASELINE_S
        self._view.step(text, share=min(self._clock() / total, 1.0))

    def _watch(self, traffic: Traffic | None) -> None:
        self._evidence.watch(traffic)
        self._view.traffic(traffic)


def _cliff(dimension: str, unit: str, search: CliffSearch, bad: Trial | None, numbers: list[int]) -> Cliff:
    close = bad.closes[0] if bad is not None and bad.closes else None
    return Cliff(
        dimension,
        unit,
        search.good,
        search.bad,
        search.exact,
        search.ceiling,
        None if close is None else close.code,
        "" if close is None else close.reason,
        () if bad is None else bad.reasons,
        tuple(numbers),
    )


def run_clock() -> Callable[[], float]:
    """Return a clock that begins now, and counts as the event loop's does."""
    began = time.monotonic()
    return lambda: time.monotonic() - began


async def run_until_done(run: ProbeRun, stop: asyncio.Event) -> None:
    """Run until it is done or `stop` is set; what was measured stands in the result either way."""
    task = asyncio.create_task(run.run())
    stopper = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((task, stopper), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            run.result.stopped_by = run.result.stopped_by or "interrupt"
            run.interrupt()
            await asyncio.wait((task,), timeout=_INTERRUPT_S)
            task.cancel()
        await asyncio.gather(task, return_exceptions=False)
    except asyncio.CancelledError:
        if not stop.is_set():
            raise
    finally:
        stopper.cancel()
