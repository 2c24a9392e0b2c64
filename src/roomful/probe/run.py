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
from roomful.probe.mode import Mode
from roomful.probe.options import Options
from roomful.probe.questions import IdleWatch, ask_lone, ask_storm
from roomful.probe.results import Result, Trial, TrialSpec
from roomful.probe.searches import SMALL, Searches, small_payload
from roomful.probe.settle import Settler
from roomful.probe.target import check_allowed, is_loopback
from roomful.probe.traffic import Traffic
from roomful.probe.trial import TrialRunner
from roomful.probe.verdict import conclude

__all__ = ("ProbeRun", "View")

_BASELINE_RATE = 40.0
_BASELINE_S = 0.5
_INTERRUPT_S = 2.0


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
        self._idle = IdleWatch(options.target, clock)
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
            try:
                await self._ask()
                await (self._loads() if options.rates else self._search())
            except Unreachable:
                # One that is ending may still take connections; whether anybody is there is seen a moment later.
                await self._baseline("after")
                raise
            self._step("baseline again")
            await self._baseline("after")
            self.result.complete = True
        finally:
            self._runner.interrupted = True
            self.result.questions["idle"] = await self._idle.stop()
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
        spec = TrialSpec("baseline", small_payload(self.options), SMALL, _BASELINE_RATE, 1, count)
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
        ping_s = (
            await self._fleet.connections[0].ping(timeout_s=2.0)
            if self._fleet.connections and self._fleet.whole
            else None
        )
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

    async def _ask(self) -> None:
        """Ask the questions; the watch of idle connections goes on beside the loads."""
        options = self.options
        if not options.questions:
            return
        self._step("questions")
        if self._runner.mode is not Mode.BROADCAST:
            # Elsewhere no connection is idle.
            self._idle.start()
        questions = self.result.questions
        try:
            questions["lone"] = await ask_lone(
                self._fleet,
                binary=options.payload != "text",
                clock=self._clock,
                cost=self._evidence.spent_now,
            )
            await self._fleet.close(timeout_s=0.3)
            if options.storm:
                questions["storm"] = await ask_storm(
                    options.target,
                    wanted=options.storm,
                    clock=self._clock,
                    files=self._evidence.files_now,
                    local=is_loopback(options.target.uri.host),
                )
        except Unreachable as error:
            # Whether it can be reached at all is the loads' to find out.
            questions["error"] = str(error)

    async def _search(self) -> None:
        searches = Searches(self.options, self.result, clock=self._clock, step=self._step, trial=self._trial)
        await searches.run()

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

    async def _trial(self, spec: TrialSpec, *, goals: Goals | None = None) -> Trial:
        # What a server does about thousands that are gone belongs to the pause, not to the trial.
        gone = self._fleet.shrink(spec.clients)
        settled = await self._settler.settle(self._runner.rtt_s, gone=gone)
        self._runner.goals = goals or self.options.goals
        trial = await self._runner.run(spec, len(self.result.trials), settled=settled)
        self.result.trials.append(trial)
        self._view.trial(trial)
        if self._runner.interrupted:
            raise asyncio.CancelledError
        return trial

    def _step(self, text: str) -> None:
        total = self.options.budget_s + 4 * _BASELINE_S
        if self.options.rates:
            loads = len(self.options.sizes) * len(self.options.clients) * len(self.options.rates)
            total = loads * (self.options.duration_s + 0.5) + 4 * _BASELINE_S
        self._view.step(text, share=min(self._clock() / total, 1.0))

    def _watch(self, traffic: Traffic | None) -> None:
        self._evidence.watch(traffic)
        self._view.traffic(traffic)


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
