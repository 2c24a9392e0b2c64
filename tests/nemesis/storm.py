"""A recovery storm: `python -m tests.nemesis.storm`.

Thousands of members of one room are cut at one moment, events are pushed while they are away, and all come back at
once and resume. It shows how long they take, from the cut, until each has everything again; and how late events reach
healthy members meanwhile, who live in a process of their own. The ledger judges every member.

The server has one core, the clients and the healthy members share the other: so the times contain what a client in
Python costs, which the report tells as CPU seconds of each.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from contextlib import suppress
from typing import Any

import uvloop

from roomful.core.ledger import Ledger, Verdict
from roomful.core.positions import Position

from .figures import ROOT, Member, Source, cpu_s, figure_server, raise_file_limit

ROOM = "kept:storm"
_AT_ONCE = 200  # handshakes under way while the room fills up
_WHOLE_S = 60.0


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


async def observe(port: int, members: int) -> None:
    """Be the healthy members: write down when each event arrives until standard input ends."""
    ages: list[tuple[float, float]] = []

    def event(frame: bytes) -> None:
        now, start = time.monotonic(), frame.index(b'"data":"') + 8
        ages.append((now, now - float(frame[start : frame.index(b":", start)])))

    for _ in range(members):
        await Member(f"/member/{ROOM}", event).connect(port)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    sys.stdout.write(json.dumps(ages))


class Storm:
    """The members that are cut, and what they got."""

    def __init__(self, clients: int) -> None:
        self.ledger = Ledger()
        self.members = [Member(f"/member/{ROOM}", self._reader(number)) for number in range(clients)]

    def _reader(self, number: int) -> Any:
        arrived = self.ledger.arrived

        def event(frame: bytes) -> None:
            if frame.startswith(b'{"type":"roomful.gap"'):
                raise AssertionError(f"nothing should be missing: {frame!r}")
            # `…,"pos":"epoch:offset"}`; there is one epoch, or the ledger would find what is missing.
            offset = int(frame[frame.rindex(b":") + 1 : -2])
            arrived(number, "epoch", offset, offset)

        return event

    async def fill(self, port: int) -> None:
        """Connect everybody."""
        gate = asyncio.Semaphore(_AT_ONCE)

        async def connect(number: int, member: Member) -> None:
            async with gate:
                await member.connect(port)
            assert member.at is not None
            self.ledger.expect(number, "epoch", after=member.at.offset)

        await asyncio.gather(*(connect(number, member) for number, member in enumerate(self.members)))

    def cut(self) -> None:
        """Reset every connection, and owe everybody what it has missed."""
        for number, member in enumerate(self.members):
            assert member.wire is not None
            member.wire.reset()
            assert member.at is not None
            self.ledger.expect(number, "epoch", after=member.at.offset)

    async def come_back(self, port: int, began: float) -> list[float]:
        """Let all resume at once; return when each was whole."""

        async def resume(member: Member) -> float:
            while True:
                with suppress(OSError):
                    await member.connect(port)
                    break
                await asyncio.sleep(0.05)
            assert member.joined is not None
            assert member.joined["recovered"] is True
            return time.monotonic() - began

        async with asyncio.timeout(_WHOLE_S):
            return list(await asyncio.gather(*map(resume, self.members)))


async def play(args: argparse.Namespace) -> bool:
    raise_file_limit()
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})  # the observer inherits it
    storm = Storm(args.clients)
    async with figure_server(core=min(cores)) as server:
        observer = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.nemesis.storm", "--observe", str(server.port), "--healthy", str(args.healthy),
            cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 30,
        )  # fmt: skip
        assert observer.stdin is not None
        assert observer.stdout is not None
        await observer.stdout.readline()
        await storm.fill(server.port)
        source = await Source().connect(server.port)
        idle_kb = server.memory_kb("VmRSS")
        marks: dict[str, float] = {}
        over = asyncio.Event()

        async def push() -> None:
            """Push at a steady rate from before the cut until everybody is whole."""
            due = time.monotonic()
            while not over.is_set():
                done = await source.push(room=ROOM, count=1, size=128)
                at = Position.parse(done["last"])
                storm.ledger.pushed("epoch", at.offset, at.offset)
                due += 1 / args.rate
                await asyncio.sleep(max(0.0, due - time.monotonic()))

        pushing = asyncio.create_task(push())
        await asyncio.sleep(2)
        cpu = {"server": cpu_s(server.pid), "clients": time.process_time()}
        marks["cut"] = began = time.monotonic()
        storm.cut()
        await asyncio.sleep(args.away)
        times = await storm.come_back(server.port, began)
        marks["whole"] = time.monotonic()
        spent = {"server": cpu_s(server.pid) - cpu["server"], "clients": time.process_time() - cpu["clients"]}
        peak_kb = server.memory_kb()
        await asyncio.sleep(1)
        over.set()
        await pushing
        await settle(storm)
        out, _ = await observer.communicate(b"")
    show(args, times, marks, json.loads(out))
    judgement = storm.ledger.judge()
    sys.stdout.write(
        f"CPU from the cut on: server {spent['server']:.2f} s, clients {spent['clients']:.2f} s; "
        f"server's memory {idle_kb / 1024:.0f} MB before, {peak_kb / 1024:.0f} MB at most\n{judgement}\n"
    )
    return judgement.ok and not judgement.counts[Verdict.TOLD]


def show(
    args: argparse.Namespace, times: list[float], marks: dict[str, float], ages: list[tuple[float, float]]
) -> None:
    """Print how long everybody took, and what the healthy members felt of it."""

    def line(name: str, values: list[float]) -> str:
        spots = (percentile(values, share) for share in (0.5, 0.99, 1))
        return f"{name:<44} p50 {next(spots):.3f} s, p99 {next(spots):.3f} s, most {next(spots):.3f} s\n"

    before = [age for at, age in ages if at < marks["cut"]]
    meanwhile = [age for at, age in ages if marks["cut"] <= at <= marks["whole"]]
    sys.stdout.write(
        f"{args.clients} of {args.clients + args.healthy} members cut at once, {args.rate} events a second of 128 "
        f"characters to all, away for {args.away} s\n"
    )
    sys.stdout.write(line("whole again, from the cut", times))
    sys.stdout.write(line("age of events at healthy members, before", before))
    sys.stdout.write(line("age of events at healthy members, meanwhile", meanwhile))


async def settle(storm: Storm) -> None:
    """Wait until nothing is missing, or for a while."""
    with suppress(TimeoutError):
        async with asyncio.timeout(10):
            while not storm.ledger.judge().ok:  # noqa: ASYNC110 -- sockets of thousands set no event
                await asyncio.sleep(0.2)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clients", type=int, default=5000, help="that are cut (default: %(default)s)")
    parser.add_argument("--healthy", type=int, default=100, help="that are not (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=10.0, help="events a second (default: %(default)s)")
    parser.add_argument(
        "--away", type=float, default=0.0, help="seconds until they dial again (default: %(default)s)"
    )
    parser.add_argument("--observe", type=int, default=0, help=argparse.SUPPRESS)
    args = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if args.observe:
            runner.run(observe(args.observe, args.healthy))
            return 0
        return 0 if runner.run(play(args)) else 1


if __name__ == "__main__":
    sys.exit(main())
