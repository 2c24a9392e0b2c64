"""How often the searches find what was planted: byte, message, and the rate within 5 %; and no loss where none is.

    python tests/probe/bench/search.py [--runs 10] [--only rate]

Each run starts a new server, so that nothing of one is left for the next; borders are drawn at random.
"""

# ruff: noqa: T201  # a program prints

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

PLANTED = Path(__file__).parent.parent / "servers" / "planted.py"
ONE_CELL = ("--size", "128")


def probe(server: list[str], options: list[str]) -> dict[str, Any]:
    """Start a server, probe it, return the result."""
    with subprocess.Popen(
        [sys.executable, str(PLANTED), *server], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        try:
            command = [sys.executable, "-m", "roomful.probe", url, "--json", "-", "--quiet", *options]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            result: dict[str, Any] = json.loads(done.stdout)
            return result
        finally:
            process.terminate()


def find_size(chance: random.Random) -> tuple[bool, str]:
    """Plant a size limit."""
    limit = round(10 ** chance.uniform(3.2, 7))
    options = ["--max-burst", "0", "--time", "12", "--clients", "1", *ONE_CELL]
    good = probe(["--max-size", str(limit)], options)["cliffs"][0]["good"]
    return good == limit, f"planted {limit}, found {good}"


def find_burst(chance: random.Random) -> tuple[bool, str]:
    """Plant a queue that drops the newest; it works only after a pause, so each trial takes about a second."""
    queue = round(10 ** chance.uniform(0.5, 3.3))
    options = ["--max-size", "0", "--time", "40", "--clients", "1", *ONE_CELL]
    good = probe(["--queue", str(queue)], options)["cliffs"][0]["good"]
    return good == queue, f"planted {queue}, found {good}"


def find_rate(chance: random.Random) -> tuple[bool, str]:
    """Plant a capacity."""
    capacity = round(10 ** chance.uniform(1.7, 3.6))
    clients = str(chance.choice([1, 5]))
    options = [
        "--max-size",
        "0",
        "--max-burst",
        "0",
        "--no-evidence",
        "--time",
        "20",
        "--clients",
        clients,
        *ONE_CELL,
    ]
    cell = probe(["--capacity", str(capacity)], options)["cells"][0]
    good = cell["good_rate"] or 0
    off = good / capacity - 1
    return abs(off) <= 0.05, f"planted {capacity}, found {good:.1f} ({off:+.1%}), {cell['kind']}"


def find_nothing(chance: random.Random) -> tuple[bool, str]:
    """Plant nothing."""
    trials = probe([], ["--quick"])["trials"]
    wrong = sum(
        trial["counts"][name] for trial in trials for name in ("lost", "duplicate", "reordered", "corrupted")
    )
    return wrong == 0, f"{wrong} faults in {len(trials)} trials"


FINDS = {"size": find_size, "burst": find_burst, "rate": find_rate, "healthy": find_nothing}


def main() -> None:
    """Run them all; print one line each and a summary."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--only", choices=FINDS)
    args = parser.parse_args()
    for name in [args.only] if args.only else FINDS:
        kept = 0
        for seed in range(args.runs):
            right, text = FINDS[name](random.Random(seed))
            kept += right
            print(f"{name}: {text}{'' if right else '  WRONG'}", flush=True)
        print(f"{name}: {kept} of {args.runs}", flush=True)


if __name__ == "__main__":
    main()
