"""One member of fifty does not read, while 2,000 events of 64 KB are pushed: `python -m tests.nemesis.slow_reader`.

For each policy it shows what the members got, what the stuck one was told when it read on or came back, and the most
memory that the server had. Nothing may be missing that was not told: the ledger judges every member.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.table import Table

from roomful.core.ledger import Ledger, Verdict
from roomful.core.positions import Position

from .figures import Member, Source, figure_server, forget_peak, position_of

_BURST = 20
_HEALTHY_S = 60.0


class Case:
    """One policy: the room that has it, and how is pushed."""

    def __init__(self, name: str, room: str, **order: Any) -> None:
        self.name = name
        self.room = room
        self.order = order


CASES = (
    Case("disconnect", "disconnect:room"),
    Case("disconnect, with history", "kept:room"),
    Case("drop_oldest", "drop_oldest:room"),
    Case("conflate (10 keys)", "conflate:room", keys=10),
    Case("push(wait=True), 0.1 s", "disconnect:waited", wait=0.1),
)


class Books:
    """What each member got, in a ledger. An event has its offset as its digest: its length is checked here."""

    def __init__(self, size: int) -> None:
        self.ledger = Ledger()
        self.got: dict[object, int] = {}
        self.heard: dict[object, int] = {}
        self.notices: Counter[object] = Counter()
        self._size = size

    def pushed(self, done: dict[str, Any]) -> None:
        """Note what a source has pushed."""
        first, last = Position.parse(done["first"]), Position.parse(done["last"])
        for offset in range(first.offset, last.offset + 1):
            self.ledger.pushed(first.epoch, offset, offset)

    def reader(self, who: object, progress: Callable[[], None]) -> Callable[[bytes], None]:
        self.got[who] = self.heard[who] = 0

        def event(frame: bytes) -> None:
            if frame.startswith(b'{"type":"roomful.gap"'):
                notice = json.loads(frame)
                self.notices[who] += 1
                self.heard[who] += sum(last - first + 1 for first, last in notice["ranges"])
                progress()
                self.ledger.told(who, notice["epoch"], [tuple(pair) for pair in notice["ranges"]])
                return
            at = position_of(frame)
            whole = len(frame) >= self._size and frame.endswith(b'"}')
            self.ledger.arrived(who, at.epoch, at.offset, at.offset if whole else 0)
            self.got[who] += 1
            self.heard[who] += 1
            progress()

        return event


async def play(case: Case, members: int, events: int, size: int) -> list[str]:
    """Run one case in a server of its own; return its row."""
    books = Books(size)
    arrived = asyncio.Event()
    async with figure_server() as server:
        source = await Source().connect(server.port)
        healthy = [
            await Member(f"/member/{case.room}", books.reader(number, arrived.set)).connect(server.port)
            for number in range(members - 1)
        ]
        stuck = Member(f"/member/{case.room}", books.reader("stuck", lambda: None))
        await stuck.connect(server.port, receive_buffer=64 * 1024)
        for who, member in [*enumerate(healthy), ("stuck", stuck)]:
            assert member.at is not None
            books.ledger.expect(who, member.at.epoch, after=member.at.offset)
        assert stuck.wire is not None
        stuck.wire.stop_reading()
        before_kb = server.memory_kb("VmRSS")
        forget_peak(server.pid)

        began, slow = time.monotonic(), 0
        for burst in range(events // _BURST):
            done = await source.push(room=case.room, count=_BURST, size=size, **case.order)
            slow += done["slow"]
            books.pushed(done)
            async with asyncio.timeout(_HEALTHY_S):
                while any(books.heard[number] < (burst + 1) * _BURST for number in range(members - 1)):
                    arrived.clear()
                    await arrived.wait()
        seconds = time.monotonic() - began
        peak_kb = server.memory_kb()

        # It reads on; if it has been let go, it comes back from where it stood.
        live = books.got["stuck"]
        stuck.wire.read_on()
        resumed = await stuck.wire.ended(0.5)
        code = stuck.wire.close_code
        read_on = books.got["stuck"] - live
        if resumed:
            assert stuck.at is not None
            books.ledger.expect("stuck", stuck.at.epoch, after=stuck.at.offset)
            await stuck.connect(server.port)
        async with asyncio.timeout(_HEALTHY_S):
            # The last event, and everything before it, has come or been told.
            books.pushed(await source.push(room=case.room, count=1, size=size))
            while any(books.heard[number] <= events for number in range(members - 1)):  # noqa: ASYNC110 -- as below
                await asyncio.sleep(0.01)
            while stuck.at is None or stuck.at.offset < events + 1:  # noqa: ASYNC110 -- its socket sets no event
                await asyncio.sleep(0.01)
        judgement = books.ledger.judge()

    counts = judgement.receivers["stuck"]
    others = {judgement.receivers[number][Verdict.DELIVERED] for number in range(members - 1)}
    faults = sum(judgement.faults.values())
    return [
        case.name,
        f"{min(others)}–{max(others)}" if len(others) > 1 else f"{min(others)}",
        f"{counts[Verdict.DELIVERED]} ({read_on} as it read on)",
        f"{counts[Verdict.TOLD]} in {books.notices['stuck']} notices",
        f"{code} and resumed" if resumed else "stayed",
        str(faults),
        str(slow),
        f"{seconds:.1f} s",
        f"{(peak_kb - before_kb) / 1024:.0f} MB above {before_kb / 1024:.0f}",
    ]


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", type=int, default=50)
    parser.add_argument("--events", type=int, default=2000)
    parser.add_argument("--size", type=int, default=64 * 1024)
    args = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 180)
    table = Table(
        "policy", "each healthy got", "the stuck one got", "was told", "its connection", "faults", "fell behind (wait)",
        "time", "peak memory",
    )  # fmt: skip
    for case in CASES:
        console.print(f"{case.name} …")
        row = await play(case, args.members, args.events, args.size)
        table.add_row(*row)
    console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
