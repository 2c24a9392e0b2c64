"""Buckets: a rate holds over any time, and a burst is as large as it may be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomful.auth.bucket import Allowance, Bucket, Buckets


def test_bucket_holds_its_burst_and_gains_its_rate() -> None:
    """Five at once, then two a second."""
    bucket = Bucket(2, 5, 0.0)

    assert [bucket.take(0.0) for _ in range(6)] == [True] * 5 + [False]
    assert [bucket.take(1.0) for _ in range(3)] == [True, True, False]
    assert not bucket.is_full(2.0)
    assert bucket.is_full(4.0)


def test_buckets_are_apart() -> None:
    """One that takes all leaves the others theirs."""
    buckets = Buckets(1, 1)

    assert buckets.take("a", 0.0)
    assert not buckets.take("a", 0.0)
    assert buckets.take("b", 0.0)


def test_buckets_do_not_grow() -> None:
    """However many come, no more than the limit is kept; those that are full again go by themselves."""
    buckets = Buckets(1, 5, limit=100)
    for number in range(1000):
        buckets.take(str(number), 0.0)
    assert len(buckets) <= 101

    for number in range(200):
        buckets.take(f"later {number}", 1000.0 + number)
    assert len(buckets) < 20


def test_allowance_counts_messages_and_bytes() -> None:
    """What is not limited costs nothing; what is adds up."""
    by_messages = Allowance(8, None, 1.0, 0.0)
    by_bytes = Allowance(None, 1280, 1.0, 0.0)
    by_both = Allowance(10, 10_000, 1.0, 0.0)
    by_nothing = Allowance(None, None, 1.0, 0.0)

    assert [by_messages.spend(b"x" * 10**6) for _ in range(9)] == [True] * 8 + [False]
    assert [by_bytes.spend("x" * 512) for _ in range(3)] == [True, True, False]
    # Half of what it may in messages, and half in bytes.
    assert [by_both.spend(b"x" * 1000) for _ in range(6)] == [True] * 5 + [False]
    assert [by_nothing.spend(b"x" * 10**6) for _ in range(100)] == [True] * 100


def test_allowance_says_how_long_to_wait() -> None:
    """Long enough that the client may go on for a while, not for one message."""
    allowance = Allowance(100, None, 1.0, 0.0)
    while allowance.spend(""):
        pass

    wait_s = allowance.refill(0.0)
    assert wait_s == pytest.approx(0.11)
    assert allowance.refill(wait_s) == 0


def test_large_message_is_paid_off() -> None:
    """A message beyond the burst comes through, and what follows waits as long as it was large."""
    allowance = Allowance(None, 12_800, 1.0, 0.0)

    assert not allowance.spend("x" * 140_800)
    assert allowance.refill(0.0) == pytest.approx(10.11, abs=0.02)
    assert allowance.refill(5.0) == pytest.approx(5.11, abs=0.02)


@given(
    st.floats(1, 1000),
    st.floats(0.1, 10),
    st.lists(st.floats(0, 3), min_size=1, max_size=300),
)
def test_rate_holds_over_any_time(per_s: float, burst_s: float, gaps: list[float]) -> None:
    """A client that is read whenever it may is read no more than the rate and twice the burst, whenever it sends."""
    allowance = Allowance(per_s, None, burst_s, 0.0)
    now, wait_until, read = 0.0, 0.0, 0
    for gap in gaps:
        now = max(now + gap, wait_until)
        read += 1
        if not allowance.spend(""):
            wait_until = now + allowance.refill(now)

    assert read <= per_s * now + 2 * per_s * burst_s + 2
