"""A fuzz target: streams of frames, half right and half wrong, against `websockets`, until the time is up.

    python -m tests.server.fuzz_parser --seconds 60 --seed 1

Each stream comes from its own number, so that a difference is found again with `--seed <that number> --streams 1`.
"""

# ruff: noqa: T201  # a command prints

from __future__ import annotations

import argparse
import random
import sys
import time

from tests.server.reference import parse, parse_as_wire
from tests.server.streams import MAX_BYTES, cut, random_stream
from tests.server.test_parser_equivalence import assert_equivalent


def main() -> int:
    """Run; return 1 when our parser and `websockets` differ."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=60.0)
    arguments.add_argument("--streams", type=int, default=sys.maxsize)
    arguments.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(48))
    options = arguments.parse_args()
    print(f"first stream: {options.seed}", flush=True)
    end = time.monotonic() + options.seconds
    done = 0
    while done < options.streams and time.monotonic() < end:
        seed = options.seed + done
        if (data := differs(seed)) is not None:
            print(f"stream {seed} differs: {data.hex(' ')}")
            return 1
        done += 1
    print(f"{done} streams, no difference")
    return 0


def differs(seed: int) -> bytes | None:
    """Return the stream of this number when the two disagree about it."""
    rng = random.Random(seed)
    # Every fourth stream is a good one with a few bytes changed anywhere.
    data = random_stream(rng)
    if seed % 4 == 0 and data:
        changed = bytearray(data)
        for _ in range(rng.randint(1, 3)):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
        data = bytes(changed)
    slices = cut(rng, data)
    try:
        assert_equivalent(parse(slices, MAX_BYTES), data)
        assert_equivalent(parse_as_wire(slices, MAX_BYTES), data)
    except AssertionError:
        return data
    return None


if __name__ == "__main__":
    sys.exit(main())
