"""Liveness: pings, deadlines and one timer for all, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable

import pytest

from roomful.core.limits import Limits
from roomful.hub.heartbeat import Pulse
from roomful.hub.liveness import Liveness
from tests.clock import VirtualLoop, after, now

LIMITS = Limits(ping_interval_s=20, ping_timeout_s=10, write_deadline_s=30)


class Patient:
    """What liveness sees of a connection."""

    def __init__(self, *, supervises: bool = False) -> None:
        self.pulse = None if supervises else Pulse()
        self.reads = True
        self.unsent = 0
        self.log: list[tuple[float, object]] = []
        self.on_ping: Callable[[], None] | None = None
        self.on_let_go: Callable[[], None] | None = None

    def ping(self) -> None:
        self.log.append((now(), "ping"))
        if self.on_ping is not None:
            self.on_ping()

    def let_go(self, code: int, reason: str, why: str) -> None:
        assert reason
        self.log.append((now(), (code, why)))
        if self.on_let_go is not None:
            self.on_let_go()


class Ward:
    """A liveness and its patients."""

    def __init__(self, limits: Limits) -> None:
        self.paused: set[Patient] = set()
        self.liveness = Liveness(limits, self.paused)  # type: ignore[arg-type] # patients stand for connections

    def watch(self, patient: Patient) -> None:
        self.liveness.watch(patient)  # type: ignore[arg-type]

    def forget(self, patient: Patient) -> None:
        self.liveness.forget(patient)  # type: ignore[arg-type]
        self.paused.discard(patient)


def timers() -> int:
    """Return how many timers the loop has."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return len(loop.timers)


@pytest.fixture
async def ward() -> AsyncGenerator[Ward]:
    """Give a ward that is stopped at the end."""
    ward = Ward(LIMITS)
    yield ward
    ward.liveness.stop()
    assert timers() == 0


async def test_silent_connection_is_pinged_and_then_let_go(ward: Ward) -> None:
    """After an interval of silence comes a ping, after the time-out the end with 4003; then it is off the wheel."""
    patient = Patient()
    ward.watch(patient)
    await after(100)

    assert [(round(at), what) for at, what in patient.log] == [(20, "ping"), (30, (4003, "stale"))]


async def test_connection_that_is_heard_is_left_alone(ward: Ward) -> None:
    """Whoever sends anything in each interval is never pinged."""
    patient = Patient()
    assert patient.pulse is not None
    ward.watch(patient)
    for _ in range(20):
        patient.pulse.heard = True
        await after(10)

    assert patient.log == []


async def test_pong_starts_the_interval_anew(ward: Ward) -> None:
    """A connection that answers each ping is pinged at most once in each interval and time-out, and stays."""
    patient = Patient()
    pulse = patient.pulse
    assert pulse is not None
    patient.on_ping = lambda: setattr(pulse, "heard", True)
    ward.watch(patient)
    await after(135)

    assert [(round(at), what) for at, what in patient.log] == [
        (20, "ping"),
        (50, "ping"),
        (80, "ping"),
        (110, "ping"),
    ]


async def test_connection_that_is_not_read_is_pinged_and_not_judged(ward: Ward) -> None:
    """While its socket is not read because of its own slow handler, its pongs cannot be seen."""
    patient = Patient()
    ward.watch(patient)
    await after(21)
    patient.reads = False
    await after(50)
    assert {what for _, what in patient.log} == {"ping"}

    patient.reads = True
    await after(30)

    assert [what for _, what in patient.log][-2:] == ["ping", (4003, "stale")]


async def test_paused_connection_without_progress_is_let_go(ward: Ward) -> None:
    """A full transport that takes no byte for the write deadline is stuck; one that takes some is only slow."""
    stuck, slow, own = Patient(), Patient(), Patient(supervises=True)
    for patient in (stuck, slow, own):
        patient.unsent = 1000
        ward.watch(patient)
        ward.paused.add(patient)
    stuck.on_let_go = lambda: ward.forget(stuck)
    for patient in (stuck, slow):
        assert patient.pulse is not None
    for _ in range(6):
        slow.unsent -= 1
        await after(10)

    assert [(round(at), what) for at, what in stuck.log] == [(31, (4003, "stuck"))]
    assert (slow.log, own.log) == ([], [])


async def test_one_timer_serves_all_and_none_is_left_without_any(ward: Ward) -> None:
    """Connections have no timers of their own; the last one that goes takes the common one with it."""
    patients = [Patient() for _ in range(5)]
    ward.watch(Patient(supervises=True))
    assert timers() == 0

    for patient in patients:
        ward.watch(patient)
    assert timers() == 1
    for patient in patients:
        assert timers() == 1
        ward.forget(patient)

    assert timers() == 0


async def test_connection_that_ends_when_it_is_pinged_is_not_watched_on(ward: Ward) -> None:
    """A ping may find the socket dead; what has been forgotten stays forgotten, and the timer with it."""
    patient = Patient()
    patient.on_ping = lambda: ward.forget(patient)
    ward.watch(patient)
    await after(25)

    assert [what for _, what in patient.log] == ["ping"]
    assert timers() == 0
    assert len(ward.liveness._wheel) == 0


async def test_tick_follows_the_shortest_time() -> None:
    """Short times, as tests have them, are kept as exactly as long ones."""
    ward = Ward(Limits(ping_interval_s=0.2, ping_timeout_s=0.1, write_deadline_s=10))
    patient = Patient()
    ward.watch(patient)
    await after(1)

    assert [(round(at, 3), what) for at, what in patient.log] == [(0.2, "ping"), (0.3, (4003, "stale"))]
    ward.liveness.stop()


async def test_stop_is_final_until_the_next_watch(ward: Ward) -> None:
    """A stopped wheel does not turn; a second stop does nothing."""
    patient = Patient()
    ward.watch(patient)
    ward.liveness.stop()
    ward.liveness.stop()
    await after(100)
    assert patient.log == []

    ward.watch(Patient())
    assert timers() == 1
