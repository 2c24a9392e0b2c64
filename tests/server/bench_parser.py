"""What reading a client's frame costs: the short way, our parser, and `websockets`, side by side in one run.

    python -m tests.server.bench_parser

Bias: single frames that come whole in one read, which is what the short way is for; no I/O, no application.
Microseconds of CPU for one frame, the median of the rounds and their spread; read the ratios, not the times.
"""

# ruff: noqa: T201  # a command prints

from __future__ import annotations

import platform
import statistics
import sys
import time
from collections.abc import Callable
from typing import Final

from websockets.protocol import OPEN
from websockets.server import ServerProtocol
from websockets.version import version

from roomful.server.ordinary import take_message, take_only
from roomful.server.parser import Parser
from tests.server.serving import masked

ROUNDS: Final = 15
MAX: Final = 16 * 2**20


def short_way(data: bytes) -> Callable[[], object]:
    def read() -> object:
        found = take_message(data, 0, MAX)
        assert found is not None
        return found

    return read


def shortest_way(data: bytes) -> Callable[[], object]:
    return lambda: take_only(data, MAX)


def our_parser(data: bytes) -> Callable[[], object]:
    parser = Parser(MAX)

    def read() -> object:
        parser.feed(data)
        event = parser.next_event()
        assert event is not None
        assert parser.next_event() is None
        return event

    return read


def their_parser(data: bytes) -> Callable[[], object]:
    protocol = ServerProtocol(state=OPEN, max_size=MAX)

    def read() -> object:
        protocol.receive_data(data)
        (event,) = protocol.events_received()
        return bytes(event.data).decode()  # type: ignore[union-attr]  # a frame; it leaves decoding to its user

    return read


def main() -> None:
    """Print a table."""
    ways = {
        "shortest way": shortest_way,
        "short way": short_way,
        "our parser": our_parser,
        "websockets": their_parser,
    }
    print(
        f"CPython {platform.python_version()}, websockets {version}, {platform.machine()}, {ROUNDS} interleaved rounds"
    )
    for size in (16, 128, 1024, 65_536, 2**20):
        data = masked("text", b"x" * size)
        reads = {name: way(data) for name, way in ways.items()}
        times: dict[str, list[float]] = {name: [] for name in ways}
        count = max(20, min(20_000, 20_000_000 // (size + 500)))
        for _ in range(ROUNDS):
            for name, read in reads.items():
                start = time.process_time_ns()
                for _ in range(count):
                    read()
                times[name].append((time.process_time_ns() - start) / count / 1000)
        base = statistics.median(times["websockets"])
        cells = [
            f"{name} {(median := statistics.median(all_)):.2f} ({min(all_):.2f}–{max(all_):.2f}), {median / base:.2f} ×"
            for name, all_ in times.items()
        ]
        print(f"{size:>8} B: " + " · ".join(cells))


if __name__ == "__main__":
    sys.exit(main())
