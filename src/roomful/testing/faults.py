"""What may happen to a TCP connection on its way: plain values, and scripts of them drawn from a seed.

It touches no socket; `FaultProxy` does what stands here.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from ..core.errors import LimitError

__all__ = (
    "TRANSPARENT",
    "Break",
    "Breaking",
    "Direction",
    "Script",
    "Weather",
    "random_script",
    "random_scripts",
)


class Direction(Enum):
    """Which half of a connection."""

    TO_SERVER = "to server"
    TO_CLIENT = "to client"


class Breaking(Enum):
    """How a connection is broken."""

    CUT = "cut"
    """Both sides see an orderly end (FIN)."""
    RESET = "reset"
    """Both sides see a reset (RST)."""
    HALF_CLOSE = "half-close"
    """The receiver of this direction sees an orderly end; the other direction goes on, and what is still sent in this
    one is thrown away."""
    FREEZE = "freeze"
    """Nothing moves any more in this direction, and nobody is told: a cable that was pulled out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """How bytes travel in one direction.

    Attributes:
        delay_s: Time that each byte takes.
        bytes_per_s: What passes in a second at most; None for no bound.
        slice_bytes: The largest piece that is written at once; None for as it comes.
        sliced_bytes: How many bytes from the start are sliced; None for all. Slicing costs a system call a piece.

    Raises:
        LimitError: A value cannot work.
    """

    delay_s: float = 0.0
    bytes_per_s: float | None = None
    slice_bytes: int | None = None
    sliced_bytes: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.delay_s < float("inf"):
            raise LimitError(f"delay_s is {self.delay_s}; expected 0 or more seconds")
        for name in ("bytes_per_s", "slice_bytes"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise LimitError(f"{name} is {value}; expected more than 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """Break a connection once so many bytes have passed in a direction, exactly behind the last of them.

    Attributes:
        how: What happens.
        direction: Whose bytes are counted, and which half a half-close or a freeze concerns.
        after_bytes: How many pass before.
    """

    how: Breaking
    direction: Direction
    after_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What happens to one connection.

    Attributes:
        to_server: How bytes travel from client to server.
        to_client: How they travel back.
        breaks: Where it breaks, in each direction at most once.
    """

    to_server: Weather = Weather()
    to_client: Weather = Weather()
    breaks: tuple[Break, ...] = ()


TRANSPARENT: Final = Script()
"""Nothing happens."""

_SMALL: Final = (
    0,
    1,
    2,
    3,
    100,
    129,
    130,
)  # within and just behind a handshake, where parsers change their state


def random_script(choose: random.Random, *, break_within_bytes: int = 200_000) -> Script:
    """Draw a script: most connections break somewhere, and some travel slowly or in pieces.

    The same state of `choose` gives the same script.

    Args:
        choose: Where chance comes from.
        break_within_bytes: The highest number of bytes after which a connection breaks.
    """
    breaks = []
    if choose.random() < 0.8:
        direction = choose.choice(list(Direction))
        how = choose.choices(list(Breaking), weights=(4, 4, 1, 1))[0]
        if choose.random() < 0.1:
            after = choose.choice(_SMALL)
        else:
            # As many breaks below a tenth of the bound as above it.
            after = int(10 ** choose.uniform(2, 1) * choose.random() * break_within_bytes / 100)
            if direction is Direction.TO_SERVER:
                after //= 20  # clients say less than they hear
        breaks.append(Break(how=how, direction=direction, after_bytes=after))
    return Script(to_server=_weather(choose), to_client=_weather(choose), breaks=tuple(breaks))


def random_scripts(seed: int | str) -> Callable[[int], Script]:
    """Return what gives the script of each connection of a proxy, by its number: the same for the same seed."""
    return lambda number: random_script(random.Random(f"{seed} {number}"))  # noqa: S311 -- it is to be repeatable


def _weather(choose: random.Random) -> Weather:
    kind = choose.random()
    if kind < 0.6:
        return Weather()
    if kind < 0.75:
        return Weather(delay_s=choose.choice((0.001, 0.01, 0.05)))
    if kind < 0.85:
        return Weather(bytes_per_s=choose.choice((20_000, 100_000, 500_000)))
    return Weather(slice_bytes=choose.choice((1, 2, 7, 100)), sliced_bytes=choose.choice((300, 3000)))
