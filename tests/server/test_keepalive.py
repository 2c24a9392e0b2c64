"""`keepalive` alone, on a clock of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from roomful.server.keepalive import Keepalive


class FakeClock:
    """An event loop's timers, moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[asyncio.TimerHandle] = []
        self._loop = asyncio.new_event_loop()

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[[], object], /) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(self.now + delay, callback, (), self._loop)
        self.timers.append(handle)
        return handle

    def waiting(self) -> list[asyncio.TimerHandle]:
        return [timer for timer in self.timers if not timer.cancelled()]

    def run_to(self, now: float) -> None:
        while due := sorted(
            (timer for timer in self.waiting() if timer.when() <= now), key=lambda timer: timer.when()
        ):
            self.timers.remove(due[0])
            self.now = max(self.now, due[0].when())
            due[0]._run()
        self.now = now

    def close(self) -> None:
        self._loop.close()


class FakeKept:
    def __init__(self) -> None:
        self.reads = True
        self.log: list[str] = []

    def ping(self) -> None:
        self.log.append("ping")

    def silent(self) -> None:
        self.log.append("silent")


@pytest.fixture
def clock() -> object:
    clock = FakeClock()
    yield clock
    clock.close()


@pytest.fixture
def kept() -> FakeKept:
    return FakeKept()


def test_silent_client_is_pinged_then_given_up(clock: FakeClock, kept: FakeKept) -> None:
    Keepalive(kept, clock, interval_s=20, timeout_s=10)
    clock.run_to(19.9)
    assert kept.log == []
    clock.run_to(29.9)
    assert kept.log == ["ping"]
    clock.run_to(31)
    assert kept.log == ["ping", "silent"]
    assert clock.waiting() == []


def test_any_bytes_are_a_sign_of_life(clock: FakeClock, kept: FakeKept) -> None:
    """A client that sends is not pinged at all; one that answers is pinged again an interval later."""
    keepalive = Keepalive(kept, clock, interval_s=20, timeout_s=10)
    clock.run_to(15)
    keepalive.heard()
    clock.run_to(34)
    assert kept.log == []
    clock.run_to(36)
    assert kept.log == ["ping"]
    keepalive.heard()
    clock.run_to(55)
    assert kept.log == ["ping"]
    clock.run_to(57)
    assert kept.log == ["ping", "ping"]


def test_pause_of_our_own_making_does_not_count(clock: FakeClock, kept: FakeKept) -> None:
    """The pong waits behind what we do not read."""
    Keepalive(kept, clock, interval_s=20, timeout_s=10)
    clock.run_to(21)
    kept.reads = False
    clock.run_to(500)
    assert kept.log == ["ping"]
    kept.reads = True
    clock.run_to(600)
    assert kept.log == ["ping", "ping", "silent"]


def test_loop_that_was_blocked_reads_before_it_judges(clock: FakeClock, kept: FakeKept) -> None:
    """On uvloop timers run before sockets are read, and the pong may have come while nobody looked."""
    keepalive = Keepalive(kept, clock, interval_s=20, timeout_s=10)
    clock.run_to(20)
    clock.now = 100
    clock.run_to(100)
    assert kept.log == ["ping"]
    keepalive.heard()
    clock.run_to(105)
    assert kept.log == ["ping"]


def test_without_a_timeout_it_pings_and_never_gives_up(clock: FakeClock, kept: FakeKept) -> None:
    Keepalive(kept, clock, interval_s=20, timeout_s=None)
    clock.run_to(100)
    assert kept.log == ["ping"] * 5


def test_stop_leaves_no_timer(clock: FakeClock, kept: FakeKept) -> None:
    keepalive = Keepalive(kept, clock, interval_s=20, timeout_s=10)
    keepalive.stop()
    keepalive.stop()
    assert clock.waiting() == []
