"""Run one trial: load by schedule, wait until what is under way has come, and judge.

A message counts as lost only when a later one came back on the same way: at the end each client that misses
something sends a *canary*. Without it nobody could tell a slow server from one that drops; where no canary comes
back, what is missing is in doubt.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from random import choices

from roomful.core.ledger import Verdict
from roomful.probe.adapter import Adapter
from roomful.probe.fleet import Fleet
from roomful.probe.generator import generator_of, run_delay_s
from roomful.probe.goals import Goals, Measured, judge_trial
from roomful.probe.losses import MAX_RUNS, missing_of
from roomful.probe.mode import Mode
from roomful.probe.payloads import make_recipe
from roomful.probe.results import Close, Trial, TrialSpec
from roomful.probe.schedule import Burst, Constant, Ramp, Schedule, Window
from roomful.probe.tally import growth
from roomful.probe.traffic import Traffic

__all__ = ("TrialRunner",)

_NAME = "abcdefghijkmnpqrstuvwxyz23456789"
_QUIET_S = 0.25
"""Least time without an arrival before a trial asks whether more will come."""
_MAX_PAIRS = 10_000
_TIMELESS = ("size", "burst")
"""Trials in which only arriving counts, not when."""
_MAX_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class _Ending:
    """How a trial went beside its messages.

    Attributes:
        cpu, waiting: Our own load.
        drained, proven: Whether the server was at rest afterwards; see `Trial`.
        settled: Whether it was before.
        pings: How many pings the server had sent before.
    """

    cpu: float
    waiting: float | None
    drained: bool
    proven: bool
    settled: bool
    pings: int


@dataclass(slots=True)
class TrialRunner:
    """Run trials on one fleet, one after the other.

    Attributes:
        fleet: Whose connections are used; it is brought to each trial's number of clients.
        mode: Who is to get what is sent.
        adapter: The server's protocol.
        goals: What makes a trial good.
        clock: Seconds since the run began.
        drain_s: How long a trial may wait for what is under way while something still comes.
        canary_s: How long it waits for a canary.
        rtt_s: What a lone message takes; the run sets it from its baseline.
        watch: Called with the traffic when a trial starts, and with `None` when it has ended.
    """

    fleet: Fleet
    mode: Mode
    adapter: Adapter
    goals: Goals
    clock: Callable[[], float]
    drain_s: float = 10.0
    canary_s: float = 5.0
    rtt_s: float = 0.01
    watch: Callable[[Traffic | None], None] = lambda traffic: None
    interrupted: bool = False

    async def run(self, spec: TrialSpec, number: int, *, settled: bool = True) -> Trial:
        """Run one trial.

        Raises:
            Unreachable: the fleet could not be opened.
            UsageError: the size does not fit the payload.
        """
        recipe = make_recipe(spec.payload, spec.size)
        began_at_s = self.clock()
        if not self.fleet.whole:
            await self.fleet.close()
        connections = await self.fleet.open(spec.clients)
        traffic: Traffic | None = None

        def returned() -> int:
            if traffic is None:
                return 0
            return traffic.arrived // (spec.clients if self.mode is Mode.BROADCAST else 1)

        traffic = Traffic(
            connections,
            recipe,
            _schedule(spec, returned),
            mode=self.mode,
            run="".join(choices(_NAME, k=6)),
            deadline_s=self.goals.deadline_s,
            adapter=self.adapter,
        )
        self.watch(traffic)
        pings = sum(sender.connection.pings for sender in traffic.senders)
        cpu, waited, wall = time.process_time(), run_delay_s(), time.perf_counter()
        try:
            traffic.start()
            await self._load(traffic, spec)
            # The generator is judged by the time in which it had to keep the schedule.
            span = time.perf_counter() - wall
            cpu = (time.process_time() - cpu) / span
            waiting = None if waited is None else ((run_delay_s() or 0.0) - waited) / span
            drained, proven = await self._drain(traffic)
        finally:
            traffic.finish()
            self.watch(None)
        how = _Ending(cpu, waiting, drained=drained, proven=proven, settled=settled, pings=pings)
        trial = self._judged(traffic, spec, number, began_at_s, how)
        if not drained:
            # What is still under way must not meet the next trial.
            await self.fleet.close(timeout_s=0.2)
        return trial

    async def _load(self, traffic: Traffic, spec: TrialSpec) -> None:
        """Wait for the end of the schedule, or for the certainty that the trial is bad."""
        patience_s = 1.5 * self.goals.deadline_s
        schedule = traffic.schedule
        while not self.interrupted:
            now = traffic.now_s
            if spec.shape == "window" and now >= schedule.duration_s:
                break
            if traffic.offered >= schedule.count or now > schedule.duration_s + patience_s:
                break
            if all(sender.closed for sender in traffic.senders):
                if not spec.stop_early:
                    traffic.give_up()
                break
            # What is still not offered belongs to clients that are closed.
            if (
                now >= schedule.duration_s
                and traffic.due >= schedule.count
                and all(each.closed or not each.connection.paused for each in traffic.senders)
            ):
                break
            if spec.stop_early and (
                any(sender.closed for sender in traffic.senders)
                or traffic.backlog_s > patience_s
                or (not traffic.complete and now - traffic.last_due_us / 1e6 > 2 * patience_s + self.rtt_s)
            ):
                break
            traffic.changed.clear()
            await _wait(traffic.changed, min(0.02, max(schedule.duration_s - now, 0.001)))
        traffic.stop()

    async def _drain(self, traffic: Traffic) -> tuple[bool, bool]:
        """Wait for what is under way. Return whether all came, and whether what is missing is proven to be."""
        deadline = self.clock() + self.drain_s
        quiet_s = max(_QUIET_S, 3 * self.rtt_s, 2 * traffic.longest_silence_s)
        seen = -1
        while not traffic.complete and self.clock() < deadline and not self.interrupted:
            if all(sender.closed for sender in traffic.senders):
                break
            traffic.changed.clear()
            seen = traffic.arrived
            await _wait(traffic.changed, quiet_s)
            if seen == traffic.arrived and not traffic.changed.is_set():
                break
        if traffic.complete:
            # What comes twice comes soon.
            await asyncio.sleep(min(0.02, 2 * self.rtt_s))
            return True, True
        progress = seen != traffic.arrived
        if progress or self.interrupted:
            self._doubt(traffic, self._pairs(traffic))
            return False, False
        return await self._ask_canaries(traffic, deadline)

    async def _ask_canaries(self, traffic: Traffic, deadline: float) -> tuple[bool, bool]:
        pairs = self._pairs(traffic)
        if any(each.connection.paused for each in traffic.senders if not each.closed):
            # A socket that is full takes no canary either.
            self._doubt(traffic, pairs)
            return False, False
        for sender in traffic.senders:
            if any(source == sender.number for _, source in pairs):
                traffic.send_canary(sender)
        limit = max(self.clock() + self.canary_s, deadline)
        open_pairs = pairs
        while open_pairs and self.clock() < limit and not self.interrupted:
            traffic.changed.clear()
            await _wait(traffic.changed, 0.1)
            open_pairs = {
                (receiver, source)
                for receiver, source in open_pairs
                if source not in traffic.senders[receiver].canaries
                and not traffic.senders[source].closed
                and not traffic.senders[receiver].closed
            }
            if traffic.complete:
                return True, True
        # A server that works on several messages at once may let the canary overtake.
        await asyncio.sleep(min(1.0, 2 * self.rtt_s))
        if traffic.complete:
            return True, True
        self._doubt(traffic, open_pairs)
        return not open_pairs, not open_pairs

    def _is_silent(self, traffic: Traffic) -> bool:
        """Whether nothing has come for as long as a canary may take."""
        return traffic.now_s - (traffic.last_arrival - traffic.began) >= self.canary_s

    def _pairs(self, traffic: Traffic) -> set[tuple[int, int]]:
        """Return (receiver, sender) of those who may still owe each other something."""
        if traffic.mode is not Mode.BROADCAST:
            return {(each.number, each.number) for each in traffic.senders if each.arrived < each.next}
        missing = [each.number for each in traffic.senders if each.arrived < traffic.offered]
        if len(missing) * traffic.clients > _MAX_PAIRS:
            return {(number, number) for number in missing}
        return {(receiver, sender.number) for receiver in missing for sender in traffic.senders}

    def _doubt(self, traffic: Traffic, pairs: set[tuple[int, int]]) -> None:
        for receiver, sender in pairs:
            if not traffic.senders[receiver].closed:
                traffic.ledger.ended(receiver, sender)

    def _judged(
        self,
        traffic: Traffic,
        spec: TrialSpec,
        number: int,
        began_at_s: float,
        how: _Ending,
    ) -> Trial:
        closes = []
        for sender in traffic.senders:
            end = sender.connection.end
            if end is None:
                continue
            traffic.ledger.doubted(sender.number)
            traffic.ledger.ended(sender.number)
            if not end.by_us or end.error:
                t_s = end.at - traffic.began
                quiet_s = max(end.at - sender.connection.heard_at, 0.0)
                closes.append(
                    Close(
                        sender.number,
                        round(t_s, 6),
                        end.code,
                        end.reason[:200],
                        end.error[:200],
                        round(quiet_s, 6),
                        max(sender.next - sender.arrived, 0) if self.mode is not Mode.BROADCAST else None,
                    )
                )
        _record_notices(traffic)
        judgement = traffic.ledger.judge(max_examples=MAX_RUNS)
        counts = {verdict.value: count for verdict, count in judgement.counts.items()}
        latency = traffic.tally.latency()
        until_s = min(traffic.schedule.duration_s, traffic.now_s)
        grown = growth(traffic.tally.rows, until_s=until_s) if spec.shape == "constant" else None
        generator = generator_of(traffic.lateness, how.cpu, how.waiting)
        outcome, goals, reasons = judge_trial(
            Measured(
                judgement.owed,
                counts,
                latency,
                grown,
                len(closes),
                generator,
                how.drained or bool(closes),
                how.settled,
                self.interrupted,
                silent=not how.drained and spec.purpose in _TIMELESS and self._is_silent(traffic),
            ),
            self.goals,
        )
        receivers = traffic.clients if traffic.mode is Mode.BROADCAST else 1
        return Trial(
            number=number,
            spec=spec,
            began_at_s=round(began_at_s, 6),
            ended_at_s=round(self.clock(), 6),
            intended=traffic.due if spec.shape != "window" else traffic.offered,
            offered=traffic.offered,
            arrived=traffic.arrived,
            owed=judgement.owed,
            counts=counts,
            stale=traffic.stale,
            unmarked=traffic.unmarked,
            latency=latency,
            growth=grown,
            served_rate=traffic.arrived / receivers / max(traffic.last_arrival - traffic.began, 1e-6),
            longest_silence_s=traffic.longest_silence_s,
            closes=tuple(closes[:100]),
            generator=generator,
            goals=goals,
            outcome=outcome,
            reasons=reasons,
            drained=how.drained,
            proven=how.proven,
            rows=tuple(traffic.tally.rows),
            examples={
                verdict.value: tuple(map(str, examples[:_MAX_EXAMPLES]))
                for verdict, examples in judgement.examples.items()
                if examples and verdict is not Verdict.DELIVERED
            },
            missing=missing_of(traffic.senders, judgement.examples.get(Verdict.LOST, ())),
            server_pings=sum(sender.connection.pings for sender in traffic.senders) - how.pings,
        )


def _schedule(spec: TrialSpec, returned: Callable[[], int]) -> Schedule:
    if spec.shape == "window":
        return Window(spec.burst, returned, duration_s=spec.count / spec.rate, count=10**9)
    if spec.shape == "ramp":
        return Ramp(spec.rate, spec.count)
    if spec.shape == "burst":
        return Burst(spec.rate, spec.count, spec.burst)
    return Constant(spec.rate, spec.count)


def _record_notices(traffic: Traffic) -> None:
    """Turn the server's numbers in gap notices into the messages that had them, as others received them."""
    for receiver, room, first, last in traffic.notices:
        for number in range(first, min(last, first + 1_000_000) + 1):
            message = traffic.numbers.get((room, number))
            if message is not None:
                traffic.ledger.told(receiver, message[0], [(message[1], message[1])])


async def _wait(event: asyncio.Event, timeout_s: float) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        pass
