"""The searches of a run, one after the other: the largest message, the largest burst, the highest rate of each cell.

They divide the time that a search may take, make the loads that `search` asks for, and write down what was found.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Protocol

from roomful.probe.errors import Unreachable
from roomful.probe.goals import Goals
from roomful.probe.options import MAX_RATE, Options
from roomful.probe.results import Cell, Cliff, Outcome, Result, Trial, TrialSpec
from roomful.probe.search import CliffSearch, RateSearch

__all__ = ("SMALL", "MakeTrial", "Searches", "small_payload")

SMALL = 128
_LEAST_MESSAGES = 24
_OWN_CPU = 0.5
"""A generator that had less than this of a core and was late was kept from it by others."""
_LEAST_TRIAL_S, _MOST_TRIAL_S = 0.5, 4.0
# Where WebSocket servers set their limit: 64 KiB, 1 MiB (websockets, Tornado's is 10 MiB), 4 MiB (aiohttp),
# 16 MiB (uvicorn, Jetty) and the like; also without the byte that some count.
SIZE_HINTS = tuple(
    sorted({v - d for p in range(10, 28) for v in (1 << p,) for d in (0, 1)} | {10 << 20, 10**6, 10**7})
)


class MakeTrial(Protocol):
    """How a trial is made."""

    def __call__(self, spec: TrialSpec, *, goals: Goals | None = None) -> Awaitable[Trial]:
        """Make one load and judge it, by goals of its own where it has any."""


class Searches:
    """All searches of a run.

    Args:
        options: What to search for.
        result: What to fill.
        clock: Seconds since the run began.
        step: Told what begins.
        trial: How a trial is made.
    """

    def __init__(
        self,
        options: Options,
        result: Result,
        *,
        clock: Callable[[], float],
        step: Callable[[str], None],
        trial: MakeTrial,
    ) -> None:
        self._options = options
        self._result = result
        self._clock = clock
        self._step = step
        self._trial = trial
        self._most_trial_s = min(_MOST_TRIAL_S, options.budget_s / 10)

    async def run(self) -> None:
        """Make them all, each with its share of the time."""
        options = self._options
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
            largest = await self.find_size(share(2))
        if options.max_burst:
            await self.find_burst(share(2))
        for size, clients in cells:
            until = share(1)
            if largest is not None and size > largest:
                reason = f"larger than the largest message that passes ({largest} bytes)"
                self._result.cells.append(
                    Cell(options.payload, size, clients, None, None, "none", None, (reason,), ())
                )
                continue
            await self._find_rate(size, clients, until)

    async def find_size(self, until: float) -> int | None:
        """Search for the largest message; return it if there is a border."""
        options = self._options
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
        self._result.cliffs.append(_cliff("size", "bytes", search, bad, numbers))
        return search.good if search.bad is not None else None

    async def find_burst(self, until: float) -> None:
        """Search for the largest number of messages at once."""
        options = self._options
        ceiling = options.max_burst
        goals = replace(
            options.goals, deadline_s=max(60.0, options.goals.deadline_s), p99_s=None, growth=math.inf
        )
        search = CliffSearch(1, ceiling=ceiling)
        bad: Trial | None = None
        numbers: list[int] = []
        while (count := search.next) is not None and (left := until - self._clock()) > 0:
            self._step(f"largest burst: {count} messages")
            spec = TrialSpec("burst", small_payload(options), SMALL, float(count), 1, count, "burst", count)
            trial = await self._trial(spec, goals=goals)
            numbers.append(trial.number)
            if trial.outcome is Outcome.BAD:
                bad = trial
            search.tell(trial.outcome)
            took = trial.ended_at_s - trial.began_at_s
            if trial.outcome is Outcome.GOOD and took > 1.0 and not search.done and search.bad is None:
                # A slow server needs its time for a large burst; do not begin what will not end.
                search.lower_ceiling(max(count, int(count * left / 3 / took)))
        self._result.cliffs.append(_cliff("burst", "messages", search, bad, numbers))

    async def _find_rate(self, size: int, clients: int, until: float) -> None:
        options = self._options
        self._step(f"highest rate of {size} bytes from {clients}")
        numbers: list[int] = []
        try:
            guess = await self._estimate(size, clients, numbers)
        except Unreachable as error:
            cell = Cell(
                options.payload, size, clients, None, None, "invalid", None, (str(error),), tuple(numbers)
            )
            self._result.cells.append(cell)
            if len(self._result.cells) == 1:
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
            ours = any(reason.startswith("generator") for reason in trial.reasons)
            search.tell(
                trial.outcome,
                served_rate=trial.served_rate if overloaded or trial.counts.get("late") else None,
                by_generator=ours and trial.generator.cpu > _OWN_CPU,
                by_machine=ours and trial.generator.cpu <= _OWN_CPU,
            )
        kind = search.kind
        limited_by = search.limited_by if search.done else "time"
        self._result.cells.append(
            Cell(
                options.payload,
                size,
                clients,
                search.good,
                search.bad,
                kind,
                limited_by if kind in ("at_least", "open", "invalid") else None,
                bad.reasons if bad is not None else (),
                tuple(numbers),
            )
        )

    async def _estimate(self, size: int, clients: int, numbers: list[int]) -> float:
        """Return what a closed loop with a few messages under way reaches."""
        window = max(min(16, (4 << 20) // size), 2)
        spec = TrialSpec("estimate", self._options.payload, size, 1000.0, clients, 300, "window", window)
        trial = await self._trial(spec, goals=replace(self._options.goals, growth=math.inf))
        numbers.append(trial.number)
        return max(trial.served_rate, 0.5)


def small_payload(options: Options) -> str:
    """Return the kind of small messages: pictures have a least size."""
    return options.payload if options.payload in ("text", "binary") else "binary"


def _cliff(dimension: str, unit: str, search: CliffSearch, bad: Trial | None, numbers: list[int]) -> Cliff:
    close = bad.closes[0] if bad is not None and bad.closes else None
    return Cliff(
        dimension,
        unit,
        search.good,
        search.bad,
        search.exact,
        search.given_up,
        search.ceiling,
        None if close is None else close.code,
        "" if close is None else close.reason,
        () if bad is None else bad.reasons,
        tuple(numbers),
    )
