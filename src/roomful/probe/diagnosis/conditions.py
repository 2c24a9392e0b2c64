"""Conditions: what a cause asks of one fact. Pure values; whether it holds is true, false, or not known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from roomful.probe.diagnosis.facts import FACTS, Fact
from roomful.probe.diagnosis.words import in_words

__all__ = ("Condition", "all_of", "at_least", "at_most", "is_no", "is_true")


@dataclass(frozen=True, slots=True)
class Condition:
    """Compare the fact of a name with a limit; `sign` is `>=`, `<=` or `is`."""

    fact: str
    sign: str
    limit: float | bool

    def holds(self, facts: Mapping[str, Fact]) -> bool | None:
        """Whether it is so; `None` when nobody knows."""
        fact = facts.get(self.fact)
        if fact is None:
            return None
        if self.sign == "is":
            return fact.value is self.limit
        value = float(fact.value)
        return value >= self.limit if self.sign == ">=" else value <= self.limit

    @property
    def words(self) -> tuple[str, str, str]:
        """What the fact is, its unit, and where it is seen."""
        return FACTS[self.fact]

    @property
    def expected(self) -> str:
        """What is asked for, in words."""
        if self.sign == "is":
            return "yes" if self.limit else "no"
        return f"at {'least' if self.sign == '>=' else 'most'} {in_words(self.limit, self.words[1])}"


def at_least(fact: str, limit: float) -> Condition:
    """The fact is this or more."""
    return Condition(_known(fact), ">=", limit)


def at_most(fact: str, limit: float) -> Condition:
    """The fact is this or less."""
    return Condition(_known(fact), "<=", limit)


def is_true(fact: str) -> Condition:
    """The fact is so."""
    return Condition(_known(fact), "is", True)  # a limit, no option


def is_no(fact: str) -> Condition:
    """The fact is not so."""
    return Condition(_known(fact), "is", False)  # a limit, no option


def all_of(*conditions: Condition) -> tuple[Condition, ...]:
    """Return the conditions; all of them have to hold."""
    return conditions


def _known(fact: str) -> str:
    assert fact in FACTS, f"no fact {fact!r} is declared"
    return fact
