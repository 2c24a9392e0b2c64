"""How well this process makes the load: its lateness, and whether it had a core when it was ready."""

from __future__ import annotations

from pathlib import Path

from roomful.probe.results import Generator

__all__ = ("generator_of", "run_delay_s")


def generator_of(lateness: list[tuple[int, int]], cpu: float, waiting: float | None) -> Generator:
    """Sum up (µs late, messages), our share of a core, and our share of time without one."""
    total = sum(count for _, count in lateness)
    values = sorted(lateness)

    def at(share: float) -> float:
        seen = 0
        for late, count in values:
            seen += count
            if seen >= share * total:
                return late / 1e6
        return 0.0

    return Generator(
        at(0.5), at(0.99), at(1.0), round(cpu, 4), None if waiting is None else round(waiting, 4)
    )


def run_delay_s() -> float | None:
    """Return how long this process has been ready to run without running."""
    try:
        return int(Path("/proc/self/schedstat").read_bytes().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return None
