"""All faults, long: `python -m tests.faults --deliveries 500000`; prints one line of a table for each."""

from __future__ import annotations

import argparse
import asyncio
import sys

import uvloop

from ..layers.servers import BINARIES
from .faults import FAULTS, Outcome, run


def line(outcome: Outcome) -> str:
    """Return a line of the table."""
    counts = ", ".join(f"{count} {text}" for text, count in sorted(outcome.notices.items()))
    told = f"{outcome.told} events, by notices: {counts}" if counts else "nothing"
    refused = sum(outcome.refused.values())
    said = f"{outcome.accepted} pushed, {refused} refused, {outcome.in_doubt} in doubt"
    verdict = "kept" if not outcome.problems else "BROKEN"
    cells = (outcome.name, outcome.judged, said, told, outcome.resumes, f"{outcome.whole_s:.1f} s", verdict)
    return f"| {' | '.join(map(str, cells))} |"


def say(text: str) -> None:
    """Print at once, as the table grows for many minutes."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    """Run them; return 1 when a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deliveries", type=int, default=500_000)
    parser.add_argument("--members", type=int, default=20, help="on each node")
    parser.add_argument(
        "--server", choices=sorted(BINARIES), default="redis" if "redis" in BINARIES else "valkey"
    )
    parser.add_argument("--only", default="", help="faults whose name contains this")
    args = parser.parse_args()
    say("| fault | judged | pushes | members were told of | comings back | whole again after | promise |")
    say("|---|---|---|---|---|---|---|")
    is_broken = False
    for fault in FAULTS:
        if args.only in fault.name:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                outcome = runner.run(
                    run(fault, args.server, deliveries=args.deliveries, short=1.0, members=args.members)
                )
            say(line(outcome))
            if outcome.problems:
                is_broken = True
                say("\n".join(outcome.problems))
    return int(is_broken)


if __name__ == "__main__":
    sys.exit(main())
