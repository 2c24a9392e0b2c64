"""What a run of the probe is asked to do, with every default and bound."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from roomful.probe.errors import UsageError
from roomful.probe.goals import Goals
from roomful.probe.marks import MAX_SENDERS
from roomful.probe.mode import Mode
from roomful.probe.payloads import KINDS, least_bytes
from roomful.probe.target import Target
from roomful.probe.thresholds import Threshold

__all__ = ("MAX_DURATION_S", "MAX_MESSAGES", "MAX_RATE", "MAX_SIZE", "Options")

# Loads are bounded whatever is asked for: in messages, in rate, in size and in time.
MAX_MESSAGES: Final = 20_000_000
MAX_RATE: Final = 1_000_000.0
MAX_SIZE: Final = 1 << 30
MAX_DURATION_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Options:
    """One run.

    Attributes:
        target: Whom.
        allowed: Whether a host that is not this machine may be loaded.
        payload: What kind of message.
        sizes: Sizes of messages, one cell each.
        clients: Numbers of clients, one cell each.
        rates: Rates to measure; empty to search for the highest good one.
        shape: `constant`, `ramp` or `burst`.
        burst: Messages at once in a burst.
        duration_s: Length of a load whose rate is given.
        budget_s: Time that a search may take.
        mode: Who is to get what is sent; `None` to find out.
        adapter: Name of the server's protocol.
        goals: What makes a trial good.
        max_size, max_burst: How far the searches for cliffs go; 0 leaves one out.
        thresholds: What makes the command fail.
        questions: Whether the server is asked beside loads what tells causes apart.
        storm: How many connections the questions open, in turn and together; 0 leaves that out.
        evidence: Whether the machine is watched too.
        pid, stacks: The server's process, and whether its stacks are taken.
    """

    target: Target
    allowed: bool = False
    payload: str = "text"
    sizes: tuple[int, ...] = (128, 4096, 65536, 1 << 20, 4 << 20)
    clients: tuple[int, ...] = (1, 10, 100)
    rates: tuple[float, ...] = ()
    shape: str = "constant"
    burst: int = 1
    duration_s: float = 10.0
    budget_s: float = 150.0
    mode: Mode | None = None
    adapter: str = "plain"
    goals: Goals = field(default_factory=Goals)
    max_size: int = 32 << 20
    max_burst: int = 16384
    thresholds: tuple[Threshold, ...] = ()
    questions: bool = True
    storm: int = 64
    evidence: bool = True
    pid: int | None = None
    stacks: bool = False

    def check(self) -> None:
        """Check the bounds.

        Raises:
            UsageError: something is out of its bounds.
        """
        _within("payload", self.payload in KINDS, self.payload, f"one of {', '.join(KINDS)}")
        for size in (*self.sizes, self.max_size):
            _within("size", 0 <= size <= MAX_SIZE, size, f"at most {MAX_SIZE} bytes")
        least = least_bytes(self.payload)
        for size in self.sizes:
            _within(
                "size", size >= least, size, f"at least {least} bytes: a {self.payload} message needs {least}"
            )
        for clients in self.clients:
            _within("number of clients", 1 <= clients < MAX_SENDERS, clients, f"1 to {MAX_SENDERS - 1}")
        for rate in self.rates:
            _within("rate", 0 < rate <= MAX_RATE, rate, f"more than 0, at most {MAX_RATE:.0f}/s")
            count = rate * self.duration_s
            _within(
                "rate × duration", count <= MAX_MESSAGES, f"{count:.0f}", f"at most {MAX_MESSAGES} messages"
            )
        _within(
            "duration",
            0 < self.duration_s <= MAX_DURATION_S,
            self.duration_s,
            f"up to {MAX_DURATION_S:.0f} s",
        )
        _within("time", 0 < self.budget_s <= MAX_DURATION_S, self.budget_s, f"up to {MAX_DURATION_S:.0f} s")
        _within("burst", 1 <= self.burst <= MAX_MESSAGES, self.burst, "at least 1")
        _within("storm", 0 <= self.storm <= 10_000, self.storm, "at most 10000 connections")
        _within("burst ceiling", 0 <= self.max_burst <= 1_000_000, self.max_burst, "at most 1000000")


def _within(what: str, kept: object, value: object, expected: str) -> None:
    if not kept:
        raise UsageError(f"{what} is {value}; expected {expected}")
