"""Trials against small real servers: what was planted is what the ledger finds, and nothing else."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from roomful.probe.adapter import EventsAdapter, PlainAdapter
from roomful.probe.detect import detect_mode
from roomful.probe.errors import Unmeasurable
from roomful.probe.fleet import Fleet
from roomful.probe.goals import Goals
from roomful.probe.mode import Mode
from roomful.probe.results import Outcome, Trial, TrialSpec
from roomful.probe.target import Target
from roomful.probe.trial import TrialRunner
from tests.probe.servers.planted import Planted, serving

# The server shares this loop, so the generator may be late; here only what came counts.
GOALS = Goals(deadline_s=20.0, generator_late_s=20.0, growth=100.0, generator_waiting=9.0)


@asynccontextmanager
async def runner(planted: Planted, mode: Mode = Mode.ECHO) -> AsyncIterator[TrialRunner]:
    """Give a runner against a server."""
    async with serving(planted) as url:
        fleet = Fleet(Target(url), PlainAdapter(), max_bytes=1 << 22)
        began = time.monotonic()
        try:
            yield TrialRunner(
                fleet, mode, fleet.adapter, GOALS, lambda: time.monotonic() - began, canary_s=0.4, drain_s=2.0
            )
        finally:
            await fleet.close()


async def run(planted: Planted, *, mode: Mode = Mode.ECHO, clients: int = 2, payload: str = "text") -> Trial:
    """Run one trial of 100 messages."""
    async with runner(planted, mode) as runs:
        return await runs.run(TrialSpec("load", payload, 2000, 1000.0, clients, 100, stop_early=False), 0)


def faults(trial: Trial) -> dict[str, int]:
    """Return the counts that are not zero, the delivered ones left out."""
    return {name: count for name, count in trial.counts.items() if count and name != "delivered"}


@pytest.mark.parametrize("payload", ["text", "binary", "png", "jpeg"])
async def test_a_healthy_server_has_no_fault(payload: str) -> None:
    """Every kind of message comes back whole."""
    trial = await run(Planted(), payload=payload)
    assert (trial.counts["delivered"], faults(trial), trial.outcome) == (100, {}, Outcome.GOOD)
    assert trial.latency is not None
    assert trial.latency.count == 100
    assert trial.rows[-1].arrived == 100


@pytest.mark.parametrize(
    ("planted", "expected"),
    [
        # Each of two clients sends 50, of which the last is dropped too: only the canary proves that.
        (Planted(drop_every=10), {"lost": 10}),
        (Planted(duplicate_every=10), {"duplicate": 10}),
        (Planted(corrupt_every=10), {"corrupted": 10}),
        (Planted(swap_every=49), {"reordered": 2}),
    ],
)
async def test_a_planted_fault_is_found(planted: Planted, expected: dict[str, int]) -> None:
    """As many as were planted, and of that kind."""
    trial = await run(planted)
    assert faults(trial) == expected
    assert trial.outcome is Outcome.BAD


async def test_what_a_close_leaves_is_in_doubt_not_lost() -> None:
    """What was accepted before the close may have been handled: nobody can know."""
    trial = await run(Planted(close_after=20), clients=1)
    assert trial.counts["lost"] == 0
    assert trial.counts["delivered"] == 20
    assert trial.counts["in doubt"] + trial.counts["not offered"] == 80
    assert [close.code for close in trial.closes] == [1011]


async def test_a_server_that_falls_silent_loses_nothing_that_can_be_proven() -> None:
    """No canary comes back, so what is missing is in doubt."""
    trial = await run(Planted(mute_after=20), clients=1)
    assert (trial.counts["lost"], trial.counts["in doubt"], trial.proven) == (0, 80, False)
    assert trial.outcome is Outcome.BAD


async def test_a_slow_server_loses_nothing() -> None:
    """It is waited for while something comes."""
    trial = await run(Planted(slow_s=0.005), clients=1)
    assert (trial.counts["delivered"], faults(trial)) == (100, {})


async def test_broadcast_owes_every_client_every_message() -> None:
    """Also what others send, also inside other text."""
    trial = await run(Planted(broadcast=True, answer="Server received: %s"), mode=Mode.BROADCAST, clients=3)
    assert (trial.owed, trial.counts["delivered"], faults(trial)) == (300, 300, {})


async def test_answers_acknowledge_in_their_order() -> None:
    """The k-th answer says that the k-th message was received."""
    trial = await run(Planted(answer="ok"), mode=Mode.ACK)
    assert (trial.counts["delivered"], faults(trial)) == (100, {})


async def test_a_trial_starts_afresh_after_a_close() -> None:
    """A fleet that is not whole is opened again."""
    async with runner(Planted(close_after=30)) as runs:
        spec = TrialSpec("load", "text", 100, 1000.0, 1, 40, stop_early=False)
        first = await runs.run(spec, 0)
        second = await runs.run(TrialSpec("load", "text", 100, 1000.0, 1, 20), 1)
    assert (first.outcome, second.outcome) == (Outcome.BAD, Outcome.GOOD)


@pytest.mark.parametrize(
    ("planted", "mode"),
    [
        (Planted(), Mode.ECHO),
        (Planted(broadcast=True, answer="Server received: %s"), Mode.BROADCAST),
        (Planted(answer="ok"), Mode.ACK),
    ],
)
async def test_the_mode_is_found_out(planted: Planted, mode: Mode) -> None:
    """By one message from one of two clients."""
    async with runner(planted) as runs:
        detected = await detect_mode(runs.fleet, PlainAdapter(), payload="text")
    assert detected.mode is mode


async def test_a_silent_server_cannot_be_measured() -> None:
    """The error says what is needed."""
    async with runner(Planted(drop_every=1)) as runs:
        with pytest.raises(Unmeasurable, match="nothing came back"):
            await detect_mode(runs.fleet, PlainAdapter(), payload="text", timeout_s=0.1)


def test_events_are_read_from_their_ends() -> None:
    """Positions and gap notices of Roomful's protocol."""
    adapter = EventsAdapter()
    event = b'{"type":"post","data":{"text":"' + b"x" * 5000 + b'"},"room":"chat:a","pos":"e1:42"}'
    assert adapter.number(event) == ("chat:a e1", 42)
    notice = b'{"type":"roomful.gap","room":"chat:a","epoch":"e1","ranges":[[5,5],[7,9]],"reason":"slow"}'
    told = adapter.told(notice)
    assert told is not None
    assert (told.room, told.ranges) == ("chat:a e1", ((5, 5), (7, 9)))
    assert adapter.told(b"hello") is None


async def test_interrupting_ends_a_trial_at_once() -> None:
    """And leaves a trial that says so."""
    async with runner(Planted()) as runs:
        task = asyncio.create_task(
            runs.run(TrialSpec("load", "text", 100, 10.0, 1, 10_000, stop_early=False), 0)
        )
        for _ in range(1000):
            await asyncio.sleep(0)
        runs.interrupted = True
        trial = await task
    assert (trial.outcome, trial.reasons[0]) == (Outcome.INVALID, "interrupted")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere only 127.0.0.1 is local")
async def test_clients_connect_from_several_addresses_in_turn() -> None:
    """One address has about 28,000 ports."""
    async with serving(Planted()) as url:
        sources = ("127.0.0.2", "127.0.0.3")
        fleet = Fleet(Target(url, sources=sources), PlainAdapter(), max_bytes=1 << 20)
        connections = await fleet.open(4)
        sockets = [connection.socket for connection in connections]
        assert [sock.getsockname()[0] for sock in sockets if sock] == [*sources, *sources]
        await fleet.close()


async def test_a_fleet_says_how_many_it_has_closed() -> None:
    """A server has something to do about each, and is given time for it."""
    async with serving(Planted()) as url:
        fleet = Fleet(Target(url), PlainAdapter(), max_bytes=1 << 20)
        first, second, third = await fleet.open(3)
        assert (fleet.shrink(1), fleet.shrink(1), fleet.connections) == (2, 0, [first])
        async with asyncio.timeout(10):
            while second.end is None or third.end is None:  # noqa: ASYNC110  # an end has no event
                await asyncio.sleep(0)
        assert first.end is None
        await fleet.close()


@pytest.mark.parametrize(("purpose", "outcome"), [("size", Outcome.BAD), ("rate", Outcome.INVALID)])
async def test_silence_counts_where_time_does_not(purpose: str, outcome: Outcome) -> None:
    """On a machine that is busy, an answer may be late; it does not stay away."""
    async with runner(Planted(mute_after=1)) as runs:
        runs.goals = replace(GOALS, generator_waiting=-1.0)
        trial = await runs.run(TrialSpec(purpose, "text", 100, 100.0, 1, 4), 0)
    assert (trial.outcome, trial.counts["in doubt"]) == (outcome, 3)
