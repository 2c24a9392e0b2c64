"""Two searches, as plain state machines: the highest good rate, and the exact border of a cliff.

They say what to try next and are told what it was; they start nothing and know no clock, so that a run can be
stopped between any two trials and still has a result.
A single outcome is never believed at the border: both its sides are tried again, and the majority counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Final

from roomful.probe.results import Outcome

__all__ = ("CliffSearch", "RateSearch")

_STEP_UP: Final = 1.6
_MAX_INVALID_IN_A_ROW: Final = 3
_MAX_LATE_IN_A_ROW: Final = 2
# Others leave a machine alone again; the generator's own limit stays.
_MAX_STARVED_IN_A_ROW: Final = 5


class RateSearch:
    """Find the highest good rate.

    A trial that overloads the server tells its capacity besides: the rate at which answers came. So the next rate is
    tried just below it, and the one after just above, and bisection is only for servers that are not so simple.

    Args:
        guess: Where to begin, such as what a closed loop reached.
        ceiling: The highest rate that may be tried.
        floor: Below it nothing is tried: not even this rate is good.
        precision: How close good and bad are to be, as a share.
        confirm: By how many voices the good side of the border has to lead; the bad side by one more.
    """

    def __init__(
        self, guess: float, *, ceiling: float, floor: float, precision: float = 0.04, confirm: int = 2
    ) -> None:
        self.good: float | None = None
        self.bad: float | None = None
        self.limited_by: str | None = None
        self.done: bool = False
        self.trials: int = 0
        self.invalid: int = 0
        self._ceiling = ceiling
        self._floor = floor
        self._precision = precision
        self._confirm = confirm
        self._votes: dict[float, list[bool]] = {}
        self._capacity: float | None = None
        self._generator_ceiling: float | None = None
        self._invalid_in_a_row = 0
        self._believed = False
        self._next = min(max(guess, floor), ceiling)

    @property
    def next(self) -> float | None:
        """The rate to try, or `None` when the search is done."""
        return None if self.done else self._next

    @property
    def kind(self) -> str:
        """What is known by now; see `Cell.kind`."""
        if self.trials and self.invalid * 2 > self.trials and self.good is None:
            return "invalid"
        if self.good is None:
            return "none" if self.done and self.limited_by is None else "open"
        if self.bad is None:
            return "at_least"
        return "found" if self.done and self.limited_by is None else "open"

    def tell(
        self,
        outcome: Outcome,
        *,
        served_rate: float | None = None,
        by_generator: bool = False,
        by_machine: bool = False,
    ) -> None:
        """Take the outcome of a trial at `next`.

        Args:
            outcome: What it was.
            served_rate: The rate at which answers came, if the trial overloaded the server.
            by_generator: Whether an invalid trial was so because the generator can no more.
            by_machine: Whether it was so because the machine was busy with other things.
        """
        rate = self._next
        self.trials += 1
        if outcome is Outcome.INVALID:
            self._told_nothing(rate, by_generator=by_generator, by_machine=by_machine)
            return
        self._invalid_in_a_row = 0
        self._votes.setdefault(rate, []).append(outcome is Outcome.GOOD)
        if outcome is Outcome.BAD and served_rate is not None and served_rate < rate:
            self._capacity = served_rate
        self._settle()
        self._choose()

    def _told_nothing(self, rate: float, *, by_generator: bool, by_machine: bool) -> None:
        self.invalid += 1
        self._invalid_in_a_row += 1
        most = _MAX_STARVED_IN_A_ROW if by_machine else _MAX_INVALID_IN_A_ROW
        if self._invalid_in_a_row < (_MAX_LATE_IN_A_ROW if by_generator else most):
            return  # the same again
        self._invalid_in_a_row = 0
        if not by_generator:
            # Good and bad may be close by now, but nobody has confirmed them.
            self.limited_by = "machine" if by_machine else "trials"
            self.done = True
            return
        self._generator_ceiling = rate
        self._choose()
        if self._next == rate:
            # There is nothing lower to try: this rate lies above what is good, or is the lowest.
            self.limited_by = "generator"
            self.done = True

    def _settle(self) -> None:
        """Draw the border anew from all votes: below it the majority is good."""
        goods = [rate for rate, votes in self._votes.items() if 2 * sum(votes) > len(votes)]
        bads = [rate for rate, votes in self._votes.items() if 2 * sum(votes) < len(votes)]
        # A bad rate counts against every higher one, unless a higher one has more voices for it.
        self.good = max(goods, default=None)
        self.bad = min(bads, default=None)
        if self.good is not None and self.bad is not None and self.bad < self.good:
            below = [rate for rate in goods if rate < self.bad]
            if len(self._votes[self.bad]) >= len(self._votes[self.good]):
                self.good = max(below, default=None)
            else:
                self.bad = min((rate for rate in bads if rate > self.good), default=None)

    def _choose(self) -> None:
        tied = [rate for rate, votes in self._votes.items() if 2 * sum(votes) == len(votes)]
        if tied:
            self._next = tied[0]
            return
        top = min(self._ceiling, self._generator_ceiling or self._ceiling)
        if self.good is None:
            bad = self.bad if self.bad is not None else top
            if bad <= self._floor * 1.001:
                self.done = True
                return
            # What an overload told is believed once: a server that is bad below it is not so simple.
            aim = self._capacity * 0.97 if self._capacity and not self._believed else bad / 2
            self._believed = self._capacity is not None
            self._next = max(self._floor, aim if aim < bad * 0.98 else bad / 2)
            return
        if self.bad is None:
            limit = "generator" if self._generator_ceiling else "ceiling"
            if self.good >= top * (0.999 if limit == "ceiling" else 1 / 1.3):
                self.limited_by = limit
                self.done = True
                return
            up = self.good * _STEP_UP
            self._next = up if up < top * 0.99 else (top if limit == "ceiling" else sqrt(self.good * top))
            return
        if self.bad / self.good <= 1 + self._precision:
            self._confirm_border()
            return
        self._next = self._aim() or sqrt(self.good * self.bad)

    def _aim(self) -> float | None:
        """Return a rate just below or above the capacity that an overload told, if it lies inside the border."""
        assert self.good is not None, "the caller has looked"
        assert self.bad is not None, "the caller has looked"
        if self._capacity is None:
            return None
        for factor in (1 - self._precision * 0.4, 1 + self._precision * 0.55):
            aim = self._capacity * factor
            near = any(abs(aim / rate - 1) < self._precision * 0.2 for rate in self._votes)
            if self.good * 1.004 < aim < self.bad * 0.996 and not near:
                return aim
        return None

    def _confirm_border(self) -> None:
        assert self.good is not None, "the caller has looked"
        assert self.bad is not None, "the caller has looked"
        # A busy machine makes a good rate look bad, and never a bad one good: so the bad side needs more voices.
        for rate, votes in ((self.good, self._confirm), (self.bad, self._confirm + 1)):
            seen = self._votes[rate]
            margin = abs(2 * sum(seen) - len(seen))
            if margin < votes and len(seen) < 2 * votes:
                self._next = rate
                return
        self.done = True


class CliffSearch:
    """Find the largest good value, exactly.

    Args:
        start: The first value to try.
        ceiling: The largest value that may be tried.
        factor: From one value to the next while all is good.
        hints: Values at which such borders often lie, tried first with the value behind them.
        confirm: How often each side of the border has to be seen; the majority counts.
    """

    def __init__(
        self, start: int, *, ceiling: int, factor: int = 4, hints: Sequence[int] = (), confirm: int = 2
    ) -> None:
        self.good: int | None = None
        self.bad: int | None = None
        self.done: bool = False
        self.trials: int = 0
        self.invalid: int = 0
        self.ceiling: int = ceiling
        self.given_up: bool = False
        self._start = start
        self._factor = factor
        self._hints = sorted(hints)
        self._confirm = confirm
        self._votes: dict[int, list[bool]] = {}
        self._invalid_in_a_row = 0
        self._next = min(start, ceiling)

    @property
    def next(self) -> int | None:
        """The value to try, or `None` when the search is done."""
        return None if self.done else self._next

    @property
    def exact(self) -> bool:
        """Whether the border is known to one."""
        known = self.good is not None and self.bad == self.good + 1
        return self.done and known and not self.given_up

    def lower_ceiling(self, ceiling: int) -> None:
        """Allow less than before, such as when larger values would take too long."""
        self.ceiling = max(min(self.ceiling, ceiling), self.good or 0)
        self._choose()

    def tell(self, outcome: Outcome) -> None:
        """Take the outcome of a trial at `next`."""
        self.trials += 1
        if outcome is Outcome.INVALID:
            self.invalid += 1
            self._invalid_in_a_row += 1
            if self._invalid_in_a_row >= _MAX_INVALID_IN_A_ROW:
                self.done = self.given_up = True
            return
        self._invalid_in_a_row = 0
        self._votes.setdefault(self._next, []).append(outcome is Outcome.GOOD)
        goods = [value for value, votes in self._votes.items() if 2 * sum(votes) > len(votes)]
        bads = [value for value, votes in self._votes.items() if 2 * sum(votes) < len(votes)]
        self.bad = min(bads, default=None)
        self.good = max((value for value in goods if self.bad is None or value < self.bad), default=None)
        self._choose()

    def _choose(self) -> None:
        tied = [value for value, votes in self._votes.items() if 2 * sum(votes) == len(votes)]
        if tied:
            self._next = tied[0]
        elif self.bad is None:
            if self.good is not None and self.good >= self.ceiling:
                self.done = True
            else:
                self._next = min((self.good or self._start) * self._factor, self.ceiling)
        elif self.good is None:
            if self.bad <= self._start:
                self.done = len(self._votes[self.bad]) >= self._confirm
                self._next = self.bad
            else:
                self._next = self._start
        elif self.bad - self.good > 1:
            self._next = self._inside(self.good, self.bad)
        else:
            for value in (self.good, self.bad):
                if len(self._votes[value]) < self._confirm:
                    self._next = value
                    return
            self.done = True

    def _inside(self, good: int, bad: int) -> int:
        # The largest border first: it halves well, and large ones are the common ones.
        for hint in reversed(self._hints):
            for value in (hint, hint + 1):
                if good < value < bad:
                    return value
        return (good + bad) // 2
