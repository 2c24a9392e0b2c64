"""How often the searches find what was planted: byte, message, and the rate within 5 %; and no loss where none is.

    python tests/probe/bench/search.py [--runs 10]

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

PLANTED = Path(__file__).parent.parent / "servers" / "planted.py"


def probe(server: list[str], options: list[str]) -> dict[str, object]:
    """Start a server, probe it, return the result."""
    with subprocess.Popen(
        [sys.executable, str(PLANTED), *server], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        try:
            command = [sys.executable, "-m", "roomful.probe", url, "--json", "-", "--quiet", *options]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            result: dict[str, object] = json.loads(done.stdout)
            return result
        finally:
            process.terminate()


def main() -> None:
    """Run them all; print one line a run and a summary."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10)
    runs = parser.parse_args().runs
    none = ["--max-size", "0", "--max-burst", "0", "--size", "128", "--no-evidence"]
    kept = {"size": 0, "burst": 0, "rate": 0, "healthy": 0}
    for seed in range(runs):
        chance = random.Random(seed)
        limit = round(10 ** chance.uniform(3.2, 7))
        found = probe(
            ["--max-size", str(limit)],
            ["--max-burst", "0", "--time", "12", "--clients", "1", "--size", "128"],
        )
        good = found["cliffs"][0]["good"]  # type: ignore[index]  # JSON
        kept["size"] += good == limit
        print(f"size: planted {limit}, found {good}", flush=True)

        queue = round(10 ** chance.uniform(0.5, 3.3))
        found = probe(
            ["--queue", str(queue)], ["--max-size", "0", "--time", "75", "--clients", "1", "--size", "128"]
        )
        good = found["cliffs"][0]["good"]  # type: ignore[index]  # JSON
        # The planted server works only after a pause, so each of some twenty trials takes about a second.
        kept["burst"] += good == queue
        print(f"burst: planted {queue}, found {good}", flush=True)

        capacity = round(10 ** chance.uniform(1.7, 3.6))
        found = probe(
            ["--capacity", str(capacity)], [*none, "--clients", str(chance.choice([1, 5])), "--time", "20"]
        )
        cell = found["cells"][0]  # type: ignore[index]  # JSON
        good = cell["good_rate"] or 0
        kept["rate"] += abs(good / capacity - 1) <= 0.05
        print(
            f"rate: planted {capacity}, found {good:.1f} ({good / capacity - 1:+.1%}), {cell['kind']}",
            flush=True,
        )

        found = probe([], ["--quick"])
        lost = sum(trial["counts"]["lost"] for trial in found["trials"])  # type: ignore[attr-defined,index]  # JSON
        kept["healthy"] += lost == 0
        print(f"healthy: {lost} lost in {len(found['trials'])} trials", flush=True)  # type: ignore[arg-type]  # JSON
    print({name: f"{count} of {runs}" for name, count in kept.items()})


if __name__ == "__main__":
    main()
