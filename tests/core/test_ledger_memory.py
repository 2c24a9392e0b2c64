"""What the ledger costs; as a script it measures the scale that the probe needs.

    python tests/core/test_ledger_memory.py 10000000 --streams 100

prints the resident memory of the whole process and the time of each call.
"""

from __future__ import annotations

import argparse
import resource
import time
import tracemalloc
from itertools import product

from roomful.core.ledger import Ledger


def _traced_bytes_per_message(*, messages: int, deadline_s: float | None, pushes_first: bool) -> float:
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        ledger = Ledger(deadline_s=deadline_s)
        ledger.expect("receiver", "stream")
        if pushes_first:
            for seq in range(messages):
                ledger.pushed("stream", seq, seq << 32 | 1, 1.0)
        for seq in range(messages):
            ledger.arrived("receiver", "stream", seq, seq << 32 | 1, 1.5)
        return (tracemalloc.get_traced_memory()[0] - before) / messages
    finally:
        tracemalloc.stop()


def test_memory_is_ten_bytes_for_a_message_without_deadline() -> None:
    """A message that was pushed and arrived takes 8 bytes for its digest and 1 for its state, plus pages."""
    assert _traced_bytes_per_message(messages=20_000, deadline_s=None, pushes_first=True) < 12


def test_memory_is_twenty_bytes_for_a_message_with_deadline() -> None:
    """A due time takes 8 bytes more."""
    assert _traced_bytes_per_message(messages=20_000, deadline_s=1, pushes_first=True) < 20


def test_memory_of_arrivals_that_wait_for_their_push_is_bounded_per_arrival() -> None:
    """When pushes are recorded only after the run, an arrival waits in 24 bytes, and arrays grow by a bit."""
    assert _traced_bytes_per_message(messages=20_000, deadline_s=1, pushes_first=False) < 28


def test_memory_of_one_account_is_below_a_kilobyte() -> None:
    """Many receivers of one stream with few messages stay cheap."""
    tracemalloc.start()
    try:
        ledger = Ledger()
        ledger.pushed("room", 0, 1)
        before = tracemalloc.get_traced_memory()[0]
        for receiver in range(1_000):
            ledger.expect(receiver, "room")
            ledger.arrived(receiver, "room", 0, 1)
        assert (tracemalloc.get_traced_memory()[0] - before) / 1_000 < 1_000
    finally:
        tracemalloc.stop()


def _peak_rss_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class _Load:
    """Deliver messages in bursts of 1,000 a stream, and time it.

    Times include the loop around the calls and the making of their arguments.
    """

    burst = 1_000

    def __init__(self, messages: int, streams: int, receivers: int) -> None:
        self.each = messages // streams // receivers
        self.streams = streams
        self.receivers = receivers
        self.ledger = Ledger(deadline_s=1.0)
        self.pushing_s = self.arriving_s = 0.0
        for stream in range(streams):
            for receiver in range(stream, stream + receivers):
                self.ledger.expect(receiver, stream)

    def push(self, stream: int, start: int) -> None:
        began = time.perf_counter()
        pushed = self.ledger.pushed
        for seq in range(start, min(start + self.burst, self.each)):
            pushed(stream, seq, seq << 32 | stream, float(seq))
        self.pushing_s += time.perf_counter() - began

    def arrive(self, stream: int, start: int) -> None:
        began = time.perf_counter()
        arrived = self.ledger.arrived
        for receiver in range(stream, stream + self.receivers):
            for seq in range(start, min(start + self.burst, self.each)):
                arrived(receiver, stream, seq, seq << 32 | stream, seq + 0.5)
        self.arriving_s += time.perf_counter() - began

    def run(self, *, backlog: bool) -> str:
        for steps in ((self.arrive,), (self.push,)) if backlog else ((self.push, self.arrive),):
            for start, stream in product(range(0, self.each, self.burst), range(self.streams)):
                for step in steps:
                    step(stream, start)
        began = time.perf_counter()
        judgement = self.ledger.judge()
        judging_s = time.perf_counter() - began
        pushes = self.each * self.streams
        judgement.assert_clean(allow=(), at_least=pushes * self.receivers)
        return (
            f"{pushes:,} pushed on {self.streams} streams, {pushes * self.receivers:,} arrived: "
            f"pushed() {self.pushing_s / pushes * 1e6:.2f} µs, "
            f"arrived() {self.arriving_s / pushes / self.receivers * 1e6:.2f} µs, "
            f"judge() {judging_s:.2f} s, peak RSS {_peak_rss_mb():.0f} MB"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("messages", type=int, nargs="?", default=10_000_000)
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--receivers", type=int, default=1, help="receivers of each stream")
    parser.add_argument("--backlog", action="store_true", help="record the pushes after all arrivals")
    options = parser.parse_args()
    load = _Load(options.messages, options.streams, options.receivers)
    print(load.run(backlog=options.backlog))  # noqa: T201 - a script's answer
