"""Compare facts with causes: which symptom has which cause, what refuted its rivals, and what is not known. Pure.

A cause is named when all that it needs was seen, nothing speaks against it, and every rival of the same symptom is
refuted. One rival that could not be looked at is enough to say *undetermined* instead.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from roomful.probe.diagnosis.causes import CAUSES, Cause
from roomful.probe.diagnosis.conditions import Condition
from roomful.probe.diagnosis.facts import Facts, gather
from roomful.probe.diagnosis.notes import notes_of
from roomful.probe.diagnosis.reading import Json
from roomful.probe.diagnosis.symptoms import SYMPTOMS, SymptomRule
from roomful.probe.diagnosis.words import in_words
from roomful.probe.findings import Diagnosis, Evidence, Finding, Rival, RivalState, Status, Symptom

__all__ = ("diagnose", "judge")

_HOLE: Final = re.compile(r"\{([a-z_.]+)(:n)?\}")
_MOST_INVALID: Final = 0.5
_MOST_WAITED: Final = 0.8
"""Where the server had no core for so much of the time, being slow says nothing about it."""


@dataclass(frozen=True, slots=True)
class _Case:
    """A cause and what the facts say to it: `holds` is true, false, or not known."""

    cause: Cause
    holds: bool | None
    evidence: tuple[Evidence, ...]
    because: str


def diagnose(result: Json) -> Diagnosis:
    """Return the diagnosis of a result in its JSON form, whether it is complete or not."""
    return judge(gather(result), notes_of(result))


def judge(facts: Facts, notes: tuple[str, ...] = ()) -> Diagnosis:
    """Return the diagnosis that follows from facts."""
    findings = tuple(_finding(rule, facts) for rule in SYMPTOMS if _all(rule.when, facts) is True)
    if findings:
        # One cause may have two symptoms.
        sentences = list(dict.fromkeys(finding.sentence for finding in findings))
        if len(sentences) > 1:
            sentences.insert(0, f"{_count(len(sentences))} things are wrong.")
        return Diagnosis(findings[0].status, " ".join(sentences), findings, notes)
    invalid = facts.get("generator.invalid")
    if invalid is not None and float(invalid.value) > _MOST_INVALID:
        text = "Nothing can be said: in {} of the loads the generator or the machine was too busy.".format(
            in_words(invalid.value, "share")
        )
        return Diagnosis(Status.INCONCLUSIVE, text, (), notes)
    return Diagnosis(Status.NONE, "Nothing is wrong: no symptom of any known cause was seen.", (), notes)


def _finding(rule: SymptomRule, facts: Facts) -> Finding:
    symptom = Symptom(rule.id, _fill(rule.sentence, facts))
    cases = [_case(cause, facts) for cause in CAUSES if rule.id in cause.symptoms]
    named = [case for case in cases if case.holds is True and case.cause.sentence]
    open_ = [case for case in cases if case.holds is None or (case.holds is True and not case.cause.sentence)]
    waited = facts.get("lone.waited")
    busy = rule.id == "slow" and waited is not None and float(waited.value) > _MOST_WAITED
    if len(named) == 1 and not open_ and not busy:
        (case,) = named
        cause = case.cause
        return Finding(
            symptom,
            Status.SUPPORTED,
            cause.id,
            cause.title,
            _fill(cause.sentence, facts),
            cause.cure,
            cause.knob,
            case.evidence,
            tuple(_rival(each) for each in cases if each is not case),
        )
    looked = tuple(_seen(condition, facts) for condition in rule.when)
    if busy:
        sentence = f"{symptom.sentence} The machine was too busy to say why."
        return Finding(
            symptom, Status.INCONCLUSIVE, None, "", sentence, None, None, looked, tuple(map(_rival, cases))
        )
    possible = " and ".join(f"“{case.cause.title}”" for case in (*named, *open_))
    why = (
        f"what was seen does not decide between {possible}"
        if possible
        else "no known cause fits what was seen"
    )
    if len(named) + len(open_) == 1:
        why = f"it may be {possible}, but not all that it takes to say so was seen"
    sentence = f"{symptom.sentence} The cause is not known: {why}."
    return Finding(
        symptom, Status.UNDETERMINED, None, "", sentence, None, None, looked, tuple(map(_rival, cases))
    )


def _case(cause: Cause, facts: Facts) -> _Case:
    needs = [(condition, condition.holds(facts)) for condition in cause.needs]
    against = [condition for condition in cause.refuted_by if condition.holds(facts) is True]
    evidence = tuple(_seen(condition, facts) for condition, _ in needs)
    evidence += tuple(_seen(condition, facts, against=True) for condition in cause.refuted_by)
    evidence += tuple(_seen(condition, facts) for condition in cause.beside if condition.fact in facts)
    failed = [condition for condition, holds in needs if holds is False]
    unknown = [condition for condition, holds in needs if holds is None]
    if failed or against:
        texts = [f"{_value(each, facts)}; expected {each.expected}" for each in failed]
        texts += [f"{_value(each, facts)}" for each in against]
        return _Case(cause, False, evidence, cause.because or "; ".join(texts))
    if unknown:
        missing = ", ".join(_what(each) for each in unknown)
        return _Case(cause, None, evidence, f"not seen: {missing}")
    return _Case(cause, True, evidence, "all that it needs was seen")


def _rival(case: _Case) -> Rival:
    state = RivalState.REFUTED if case.holds is False else RivalState.OPEN
    return Rival(case.cause.id, case.cause.title, state, case.because, case.evidence)


def _seen(condition: Condition, facts: Facts, *, against: bool = False) -> Evidence:
    fact = facts.get(condition.fact)
    what, unit, source = condition.words
    holds = condition.holds(facts)
    expected = f"not {condition.expected}" if against else condition.expected
    if against and holds is not None:
        holds = not holds
    if fact is None:
        return Evidence(what, None, unit, expected, None, source)
    return Evidence(what, fact.value, unit, expected, holds, source, fact.at_s, fact.trial)


def _all(conditions: tuple[Condition, ...], facts: Facts) -> bool | None:
    answers = [condition.holds(facts) for condition in conditions]
    if False in answers:
        return False
    return None if None in answers else True


def _fill(sentence: str, facts: Facts) -> str:
    """Put the facts into a sentence."""

    def one(found: re.Match[str]) -> str:
        fact = facts.get(found[1])
        if fact is None:
            return "an unknown number"
        return in_words(fact.value, "" if found[2] else fact.unit)

    return _HOLE.sub(one, sentence)


def _value(condition: Condition, facts: Mapping[str, object]) -> str:
    fact = facts.get(condition.fact)
    what, unit, _ = condition.words
    value = getattr(fact, "value", None)
    return f"{what}: {in_words(value, unit)}"


def _what(condition: Condition) -> str:
    return condition.words[0]


def _count(number: int) -> str:
    return {2: "Two", 3: "Three", 4: "Four"}.get(number, str(number))
