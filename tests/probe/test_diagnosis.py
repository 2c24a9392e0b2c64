"""From facts to causes: recorded evidence of real servers gets its cause, and missing evidence never a wrong one."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roomful.probe.diagnosis.causes import CAUSES
from roomful.probe.diagnosis.facts import FACTS, Fact
from roomful.probe.diagnosis.judge import judge
from roomful.probe.diagnosis.symptoms import SYMPTOMS
from roomful.probe.findings import Diagnosis, RivalState, Status
from roomful.probe.intervention.measures import MEASURES
from tests.probe.broken import BROKEN, Broken

RECORDED: dict[str, dict[str, float | str | bool]] = json.loads(
    (Path(__file__).parent / "recorded_facts.json").read_text()
)
BY_NAME = {broken.name: broken for broken in BROKEN}
# What is only seen on the machine of the server.
INSIDE = (
    "server.local",
    "server.crashed",
    "server.ended",
    "lone.cpu",
    "lone.waited",
    "memory.",
    "redis.",
    "storm.backlog",
    "storm.overflows",
    "storm.descriptors_left",
)


def facts(values: Mapping[str, float | str | bool]) -> dict[str, Fact]:
    """Return facts with the words that are declared for them."""
    return {name: Fact(name, value, *FACTS[name]) for name, value in values.items()}


def recorded(name: str, **changes: float | str | bool) -> dict[str, Fact]:
    """Return the recorded facts of a server, with some changed; `__` in a name stands for a dot."""
    return facts(RECORDED[name] | {key.replace("__", "."): value for key, value in changes.items()})


def is_right(broken: Broken, found: Diagnosis) -> bool:
    """Whether all that is true is named, and nothing else."""
    causes = set(found.causes)
    return broken.causes <= causes <= broken.causes | broken.also


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.name)
def test_recorded_evidence_gets_its_cause(broken: Broken) -> None:
    """As it was seen with real servers; a sound one gets none."""
    found = judge(recorded(broken.name))
    assert is_right(broken, found), found.sentence
    assert found.status is (Status.SUPPORTED if broken.causes else Status.NONE)


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.name)
def test_a_server_elsewhere_gets_its_cause_or_none(broken: Broken) -> None:
    """Without a look inside the answer is right or undetermined, and says what could not be seen."""
    seen = {name: value for name, value in RECORDED[broken.name].items() if not name.startswith(INSIDE)}
    found = judge(facts(seen))
    assert set(found.causes) <= broken.causes | broken.also, found.sentence
    if not broken.causes <= set(found.causes):
        assert any(finding.status is Status.UNDETERMINED for finding in found.findings)
        assert any(rival.state is RivalState.OPEN for finding in found.findings for rival in finding.rivals)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_missing_evidence_never_names_a_wrong_cause(data: st.DataObject) -> None:
    """Whichever facts could not be seen."""
    broken = data.draw(st.sampled_from(BROKEN))
    values = RECORDED[broken.name]
    lost = data.draw(st.sets(st.sampled_from(sorted(values))))
    found = judge(facts({name: value for name, value in values.items() if name not in lost}))
    assert set(found.causes) <= broken.causes | broken.also, (sorted(lost), found.sentence)


def test_a_kernel_counter_alone_names_nothing() -> None:
    """They rise on sound machines too, and say nothing of messages."""
    found = judge(recorded("healthy_fastapi", network__resent=0.3, storm__overflows=1000))
    assert (found.status, found.findings) == (Status.NONE, ())


def test_the_tcp_buffer_is_refuted_and_the_reason_is_said() -> None:
    """What is so often blamed: TCP holds the sender back, it loses nothing in the middle."""
    (finding,) = judge(recorded("queue_newest")).findings
    rival = next(each for each in finding.rivals if each.cause == "tcp_buffer")
    assert rival.state is RivalState.REFUTED
    assert "holds the sender back" in rival.because


def test_a_blocked_loop_without_cpu_times_is_undetermined() -> None:
    """Computing and waiting look the same from outside."""
    values = dict(RECORDED["blocking_call"])
    del values["lone.cpu"]
    (finding,) = judge(facts(values)).findings
    assert finding.status is Status.UNDETERMINED
    assert {rival.cause for rival in finding.rivals if rival.state is RivalState.OPEN} == {"blocking", "cpu"}
    assert "does not decide between" in finding.sentence


def test_a_server_without_a_core_is_not_called_slow() -> None:
    """It was ready and had no core for most of the time: that is the machine's doing."""
    (finding,) = judge(recorded("cpu_handler", lone__waited=0.9)).findings
    assert (finding.status, finding.cause) == (Status.INCONCLUSIVE, None)


def test_a_generator_that_was_late_concludes_nothing() -> None:
    """No symptom, and most loads said nothing: that is no praise."""
    found = judge(recorded("healthy_roomful", generator__invalid=0.8))
    assert found.status is Status.INCONCLUSIVE


def test_losses_without_a_pattern_are_undetermined() -> None:
    """Every tenth message is missing: no queue does that."""
    found = judge(recorded("queue_newest", lost__longest_run=1, lost__head_over_tail=2.0, lost__spread=0.9))
    assert found.status is Status.UNDETERMINED
    assert found.causes == ()


def test_redis_is_open_while_nobody_can_look_at_it() -> None:
    """Unless bursts of all lengths lose behind the same number of messages, which Redis does not count."""
    values = {
        name: value for name, value in RECORDED["queue_newest"].items() if not name.startswith("redis.")
    }
    assert judge(facts(values)).causes == ("queue_newest",)
    values["lost.spread"] = 0.5
    assert judge(facts(values)).causes == ()


def test_a_limit_above_what_was_asked_for_is_no_fault() -> None:
    """Every server has one, and should."""
    assert judge(recorded("size_limit", size__refused=False)).status is Status.NONE


def test_two_faults_are_two_findings_and_one_sentence() -> None:
    """Neither hides the other."""
    found = judge(recorded("two_faults"))
    assert [finding.cause for finding in found.findings] == ["too_big", "blocking"]
    assert found.sentence.startswith("Two things are wrong. ")


def test_evidence_says_what_was_expected_and_where_it_was_seen() -> None:
    """A verdict is worth its grounds."""
    (finding,) = judge(recorded("backlog")).findings
    assert finding.evidence
    assert all(each.what and each.expected and each.source for each in finding.evidence)
    assert all(each.holds for each in finding.evidence if each.value is not None)


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: cause.id)
def test_a_cause_is_declared_in_full(cause: object) -> None:
    """One that may be named has a cure and a knob; what it says and measures exists."""
    assert isinstance(cause, type(CAUSES[0]))
    assert cause.symptoms
    assert set(cause.symptoms) <= {rule.id for rule in SYMPTOMS}
    assert cause.needs
    if cause.sentence:
        assert cause.cure
        assert cause.knob
    assert set(re.findall(r"\{([a-z_.]+)", cause.sentence)) <= set(FACTS)
    assert cause.effect is None or cause.effect.measure in MEASURES


def test_every_fact_serves_something() -> None:
    """A fact that no cause asks for, and no sentence says, is not worth reading."""
    asked = {
        condition.fact for cause in CAUSES for condition in (*cause.needs, *cause.refuted_by, *cause.beside)
    }
    asked |= {condition.fact for rule in SYMPTOMS for condition in rule.when}
    said = set(re.findall(r"\{([a-z_.]+)", " ".join(each.sentence for each in (*CAUSES, *SYMPTOMS))))
    assert set(FACTS) - asked - said == {
        "generator.invalid",
        "lone.waited",
    }  # the judge asks for these itself


def test_the_page_has_every_cause_that_may_be_named() -> None:
    """With its signature and its cure; the generator's part stands there too."""
    page = (Path(__file__).parents[2] / "docs/explanation/verdicts.md").read_text()
    sections = dict(re.findall(r"^### (\w+)\n(.*?)(?=^##)", page, re.MULTILINE | re.DOTALL))
    named = {cause.id for cause in CAUSES if cause.sentence}
    assert set(sections) == named | {"generator"}
    assert all("- Signature: " in sections[id] and "- Cure: " in sections[id] for id in named)


def test_a_server_that_is_gone_has_that_symptom_alone() -> None:
    """That nobody opens any more follows from it."""
    found = judge(recorded("memory", storm__in_turn_failed=True, closes__number=4, size__refused=True))
    assert [finding.symptom.id for finding in found.findings] == ["died"]
