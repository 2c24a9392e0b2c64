"""What the ledger of a long load costs: ten million messages, each offered, received and judged.

    python tests/probe/bench/memory.py [--messages 10000000] [--clients 10]

The connections are stand-ins that hand each message straight back, so that only the generator is measured.
"""

# ruff: noqa: T201  # a program prints

from __future__ import annotations

import argparse
import asyncio
import resource
import time

from roomful.probe.adapter import PlainAdapter
from roomful.probe.mode import Mode
from roomful.probe.payloads import make_recipe
from roomful.probe.schedule import Constant
from roomful.probe.traffic import Traffic


class Mirror:
    """A connection that echoes."""

    key_byte = 0
    paused = False
    end = None
    unsent = 0

    def __init__(self, number: int, size: int) -> None:
        self.number = number
        self.listener: Traffic | None = None
        self._size = size

    def write(self, data: bytes) -> None:
        """Hand back every message of a batch; the key is 0, so they are not masked."""
        head = len(data) % self._size if len(data) < 2 * self._size else 8
        frame = self._size + head
        messages = [(1, data, start + head, start + frame) for start in range(0, len(data), frame)]
        assert self.listener is not None
        self.listener.received(self, messages)  # type: ignore[arg-type]  # a stand-in


async def main(messages: int, clients: int) -> None:
    """Run and print."""
    size = 128
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    traffic = Traffic(
        [Mirror(number, size) for number in range(clients)],  # type: ignore[misc]  # stand-ins
        make_recipe("text", size),
        Constant(1e6, messages),
        mode=Mode.ECHO,
        run="memory",
        deadline_s=1e9,
        adapter=PlainAdapter(),
    )
    traffic.start(delay_s=0)
    while not (traffic.offered == messages and traffic.complete):
        traffic.changed.clear()
        await traffic.changed.wait()
    traffic.finish()
    judgement = traffic.ledger.judge()
    latency = traffic.tally.latency()
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert latency is not None
    assert latency.count == messages
    print(judgement)
    print(f"{messages:,} messages: {grown / 1024:.0f} MiB more, {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=10_000_000)
    parser.add_argument("--clients", type=int, default=10)
    args = parser.parse_args()
    asyncio.run(main(args.messages, args.clients))
