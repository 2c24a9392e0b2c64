"""The plan of a torture: from one number to all that each client does and what happens to it, visit by visit.

Pure: the same plan says the same again, in any process. What it cannot say is how the deeds of many clients interleave:
that is up to the machine.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import Enum
from typing import Final

from ..faults import TRANSPARENT, Script, random_script

__all__ = ("HALLS", "Act", "Ending", "Killing", "Plan", "Step", "Visit")

HALLS: Final = ("kept:hall", "short:hall", "bare:hall", "drop:hall", "latest:hall", "kept:lobby")
"""The rooms that many are in, at least one for each policy of `POLICIES`."""

_KINDS: Final = ("kept", "kept", "short", "bare", "drop", "latest")


class Act(Enum):
    """What a client does."""

    POST = "post"
    """Have an event pushed."""
    BURST = "burst"
    """Have many events pushed by one message."""
    QUIET = "quiet"
    """Have an event pushed to everybody else."""
    WAIT = "wait"
    """Have an event pushed by a handler that waits for slow members."""
    SLOW = "slow"
    """Post to a handler that takes its time."""
    FAIL = "fail"
    """Post to a handler that pushes and then answers with an error."""
    CRASH = "crash"
    """Post to a handler that raises before it pushes."""
    HANG = "hang"
    """Post to a handler that never comes to its push."""
    AGAIN = "again"
    """Send a message again that has been answered, under its id."""
    STALL = "stall"
    """Stop reading, and read on."""
    JOIN = "join"
    """Join another room."""
    LEAVE = "leave"
    """Leave a room."""


class Ending(Enum):
    """How a client ends a visit that nothing else has ended."""

    CLOSE = "close"
    HANG_UP = "hang up"
    RESET = "reset"


@dataclass(frozen=True, slots=True)
class Step:
    """One deed.

    Attributes:
        after_s: Time since the one before.
        act: What is done.
        room: Where, as the number of one of the rooms that the client knows.
        amount: How much: events of a burst, or milliseconds of a stall.
        size: Characters of each event.
    """

    after_s: float
    act: Act
    room: int
    amount: int
    size: int


@dataclass(frozen=True, slots=True)
class Visit:
    """One connection of a client.

    Attributes:
        after_s: Time since the last one ended.
        script: What happens on the way; None for a connection without a proxy.
        receive_buffer: The socket's receive buffer in bytes; None for the system's.
        forgets: Whether the client comes as a new one, which resumes nothing.
        rooms: The rooms that it wants to be in besides those that it is in.
        steps: What it does, in order.
        ending: How it ends then.
    """

    after_s: float
    script: Script | None
    receive_buffer: int | None
    forgets: bool
    rooms: tuple[str, ...]
    steps: tuple[Step, ...]
    ending: Ending


@dataclass(frozen=True, slots=True)
class Killing:
    """The end of a server process, after which it is started anew.

    Attributes:
        at: The share of the wanted deliveries at which it comes, from 0 to 1.
        in_order: Whether it is asked to end (SIGTERM), so that it drains; else it is killed.
    """

    at: float
    in_order: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything about a torture that is decided beforehand.

    Attributes:
        seed: From which all chance comes.
        deliveries: Events that clients are to receive, over all, before the calm in which everybody catches up.
        clients: How many there are.
        small_rooms: Rooms that few are in.
        kills: How often the server is ended and started anew.
        inbound: Whether clients name themselves, and send messages again whose answer was lost, and some others.
        replies_last: Whether a reply stands behind what its handler pushed; not so where a layer delivers later than it
            answers.
        calm_s: Time that a client has at the end to be whole again.
        longest_s: Time after which the calm begins, however little was delivered.
    """

    seed: int
    deliveries: int = 50_000
    clients: int = 60
    small_rooms: int = 2000
    kills: int = 0
    inbound: bool = True
    replies_last: bool = True
    calm_s: float = 60.0
    longest_s: float = 300.0

    def visit(self, client: int, number: int) -> Visit:
        """Return what a client does on its visit with this number."""
        choose = random.Random(f"{self.seed} {client} {number}")  # noqa: S311 -- it is to be repeatable
        script: Script | None = None
        if choose.random() < 0.75:
            script = random_script(choose) if choose.random() < 0.85 else TRANSPARENT
        slow = choose.random() < 0.3
        return Visit(
            after_s=choose.choice((0.0, 0.0, 0.01, 0.1, 0.4)),
            script=script,
            receive_buffer=4096 if slow or choose.random() < 0.3 else None,
            forgets=choose.random() < 0.08,
            rooms=self._rooms(choose),
            steps=tuple(self._step(choose, slow=slow) for _ in range(choose.randint(1, 60))),
            ending=choose.choice(list(Ending)),
        )

    def killings(self) -> tuple[Killing, ...]:
        """Return when the server ends, in order."""
        choose = random.Random(f"{self.seed} kills")  # noqa: S311 -- as above
        places = sorted(choose.uniform(0.1, 0.9) for _ in range(self.kills))
        return tuple(Killing(at, in_order=choose.random() < 0.5) for at in places)

    def _rooms(self, choose: random.Random) -> tuple[str, ...]:
        rooms = choose.sample(HALLS, choose.randint(1, 3))
        if self.small_rooms:
            rooms += [self._small_room(choose) for _ in range(choose.randint(0, 4))]
        return tuple(rooms)

    def _small_room(self, choose: random.Random) -> str:
        number = choose.randrange(self.small_rooms)
        return f"{_KINDS[number % len(_KINDS)]}:{number}"

    def _step(self, choose: random.Random, *, slow: bool) -> Step:
        acts = list(Act)
        weights = [_WEIGHTS[act] * (8 if slow and act is Act.STALL else 1) for act in acts]
        act = choose.choices(acts, weights)[0]
        if not self.inbound and act is Act.AGAIN:
            act = Act.POST
        amount = choose.randint(5, 400) if act is Act.STALL else choose.randint(2, 40)
        return Step(
            after_s=choose.choice((0.0, 0.0, 0.002, 0.01, 0.05)),
            act=act,
            room=choose.randrange(1000),
            amount=amount,
            size=choose.choice((30, 100, 300, 2000) if act is Act.BURST else (20, 40, 100, 400, 3000, 9000)),
        )


_WEIGHTS: Final = {
    Act.POST: 30,
    Act.BURST: 12,
    Act.QUIET: 6,
    Act.WAIT: 3,
    Act.SLOW: 3,
    Act.FAIL: 3,
    Act.CRASH: 2,
    Act.HANG: 0.3,
    Act.AGAIN: 3,
    Act.STALL: 3,
    Act.JOIN: 4,
    Act.LEAVE: 3,
}
