"""What positions and history cost in a fan-out: `python -m tests.nemesis.history_cost`.

One server; three rooms with as many members each: raw texts without positions, events without history, events with
history. They are pushed to in turns, round by round, and the server tells the CPU seconds of each turn, so that the
ratios are made between neighbours. Every member must get every byte.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys

import uvloop

from roomful.testing.nemesis.wire import Wire, dial

from .figures import Source, figure_server, raise_file_limit

ROOMS = {"raw": "/raw/bare:raw", "events": "/member/bare:events", "events, history": "/member/kept:events"}


class Crowd:
    """Members of one room; counts what they get and looks at none of it."""

    def __init__(self) -> None:
        self.got = 0
        self.grown = asyncio.Event()

    def received(self, frame: bytes) -> None:
        if not frame.startswith(b'{"type":"roomful.'):
            self.got += 1
            self.grown.set()

    async def until(self, count: int) -> None:
        """Wait until so many messages have come, over all members."""
        async with asyncio.timeout(60):
            while self.got < count:
                self.grown.clear()
                await self.grown.wait()


async def play(args: argparse.Namespace) -> bool:
    raise_file_limit()
    async with figure_server() as server:
        source = await Source().connect(server.port)
        crowds = {}
        for name, path in ROOMS.items():
            crowds[name] = crowd = Crowd()
            for _ in range(args.members):
                wire = Wire(path, crowd.received)
                await dial(server.port, wire)
                assert await wire.opened(10)
        cpu: dict[str, list[float]] = {name: [] for name in ROOMS}
        for number in range(args.rounds + 1):
            for name, path in ROOMS.items():
                seconds = 0.0
                for burst in range(args.events // args.burst):
                    done = await source.push(
                        room=path.rpartition("/")[2], count=args.burst, size=args.size, raw=name == "raw",
                        collects=burst == 0,
                    )  # fmt: skip
                    seconds += done["cpu_s"]
                    pushed = number * args.events + (burst + 1) * args.burst
                    await crowds[name].until(pushed * args.members)
                if number:  # the first round warms up
                    cpu[name].append(seconds / (args.events * args.members) * 1e6)
    ratios = {
        name: [mine / base for mine, base in zip(cpu[name], cpu["events"], strict=True)] for name in ROOMS
    }
    sys.stdout.write(
        f"{args.members} members, {args.size} characters, {args.events} events a turn, {args.rounds} rounds\n"
    )
    for name in ROOMS:
        low, high = min(ratios[name]), max(ratios[name])
        sys.stdout.write(
            f"{name:<16} {statistics.median(cpu[name]):6.3f} µs of server CPU a delivery, "
            f"{statistics.median(ratios[name]):.3f} of events without history ({low:.3f}–{high:.3f})\n"
        )
    return True


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--members", type=int, default=500, help="of each room (default: %(default)s)")
    parser.add_argument("--events", type=int, default=1600, help="of each turn (default: %(default)s)")
    parser.add_argument("--burst", type=int, default=16, help="pushed at once (default: %(default)s)")
    parser.add_argument("--size", type=int, default=128, help="characters (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=9, help="(default: %(default)s)")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return 0 if runner.run(play(parser.parse_args())) else 1


if __name__ == "__main__":
    sys.exit(main())
