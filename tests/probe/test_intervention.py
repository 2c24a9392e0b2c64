"""Knobs, predictions and what rounds say to them; and one intervention with a real server."""

from __future__ import annotations

import asyncio
import sys

import pytest

from roomful.probe.arguments import parse
from roomful.probe.child import Child
from roomful.probe.diagnosis.causes import Effect, cause_of
from roomful.probe.errors import UsageError
from roomful.probe.findings import Arm, Diagnosis, Finding, Knob, Prediction, Round, Status, Symptom
from roomful.probe.intervention import rounds as rounds_module
from roomful.probe.intervention.knobs import PLACEBO, Setting, parse_knob, setting_of
from roomful.probe.intervention.predict import decide, predict, ratio_of
from roomful.probe.intervention.rounds import Plan, intervene
from roomful.probe.options import Options
from roomful.probe.results import Result
from roomful.probe.target import Target

TWICE = Prediction("twice", "lone_echo", "s", 1.5, 2.66)
GONE = Prediction("gone", "duplicate_share", "share", 0.0, 0.1)


def rounds(a: list[float | None], b: list[float | None], placebo: list[float | None]) -> list[Round]:
    """Return rounds in the order in which they are made."""
    made = []
    for values in zip(a, b, placebo, strict=True):
        made += [Round(arm, "", value, 0.0) for arm, value in zip(Arm, values, strict=True)]
    return made


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("env:BLOCK_MS=20,40", Knob("env", "BLOCK_MS", "20", "40")),
        ("arg:--ws-max-size=65536,131072", Knob("arg", "--ws-max-size", "65536", "131072")),
        ("limit:nofile=64,128", Knob("limit", "nofile", "64", "128")),
    ],
)
def test_a_knob_is_read(text: str, expected: Knob) -> None:
    """Three kinds, each with two values."""
    assert parse_knob(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "BLOCK_MS=20,40", "env:A=1", "env:A=1,1", "limit:stack=1,2", "limit:nofile=a,b", "env:A=1,2,3"],
)
def test_what_is_no_knob_is_refused(text: str) -> None:
    """With what is expected, or what is wrong."""
    with pytest.raises(UsageError, match="knob"):
        parse_knob(text)


def test_a_setting_changes_what_it_names_and_nothing_else() -> None:
    """Environment, arguments given or not, and limits around the command."""
    command = ("serve", "--size", "1", "--rate=2")
    values = [
        (Knob("env", "A", "1", "2"), "2"),
        (Knob("arg", "--size", "1", "9"), "9"),
        (Knob("arg", "--rate", "2", "3"), "3"),
        (Knob("arg", "--new", "x", "y"), "y"),
    ]
    setting = setting_of(command, values)
    assert setting.command == ("serve", "--size", "9", "--rate=3", "--new", "y")
    assert setting.environment == {"A": "2"}
    limited = setting_of(command, [(Knob("limit", "nofile", "64", "128"), "64")])
    assert limited.command[:4] == ("/bin/sh", "-c", 'ulimit -n 64 && exec "$@"', "sh")
    assert limited.command[4:] == command


def test_a_knob_needs_a_server_that_is_started() -> None:
    """One that runs already cannot be started with another setting."""
    with pytest.raises(UsageError, match="roomful probe run"):
        parse(["ws://127.0.0.1:1/", "--knob", "env:A=1,2"])


@pytest.mark.skipif(sys.platform == "win32", reason="no ulimit")
async def test_a_limit_is_that_of_the_process_that_is_started() -> None:
    """The shell sets it and becomes the command; the environment is added to ours."""
    script = "import os, resource; print(resource.getrlimit(resource.RLIMIT_NOFILE)[0], os.environ['A'])"
    values = [(Knob("limit", "nofile", "64", "128"), "64"), (Knob("env", "A", "1", "2"), "2")]
    setting = setting_of((sys.executable, "-c", script), values)
    child = await Child.start(setting.command, setting.environment)
    async with asyncio.timeout(20):
        while child.report()["exit_code"] is None:  # noqa: ASYNC110  # the report is what is asked for
            await asyncio.sleep(0.01)
    await child.stop()
    assert str(child.report()["log_tail"]).split() == ["64", "2"]


def test_a_prediction_is_a_range_of_ratios() -> None:
    """Stated before anything is changed, from the values of the knob alone."""
    made = predict(cause_of("blocking"), Knob("env", "BLOCK_MS", "20", "40"), "s")
    assert made is not None
    assert (made.low, made.high) == (1.5, 2.66)
    assert "BLOCK_MS=40 instead of 20" in made.sentence
    smaller = predict(cause_of("blocking"), Knob("env", "BLOCK_MS", "40", "20"), "s")
    assert smaller is not None
    assert (smaller.low, smaller.high) == (0.375, 0.665)


def test_what_cannot_be_predicted_is_not() -> None:
    """A knob that is no number moves nothing in proportion; the seed's cause has no knob at all."""
    assert predict(cause_of("blocking"), Knob("env", "MODE", "slow", "fast"), "s") is None
    assert predict(cause_of("tcp_buffer"), Knob("env", "A", "1", "2"), "s") is None
    assert predict(cause_of("duplicates"), Knob("env", "MODE", "on", "off"), "share") is not None


def test_three_rounds_as_predicted_prove() -> None:
    """A and B apart in each, and the placebo still."""
    outcome, because = decide(TWICE, rounds([1, 1.02, 0.98], [2, 2.1, 1.9], [1, 1.01, 0.99]))
    assert outcome is Status.PROVEN
    assert "placebo moved nothing" in because


def test_what_does_not_move_is_refuted() -> None:
    """Nor what moves the other way."""
    assert decide(TWICE, rounds([1, 1, 1], [1.02, 1, 1.01], [1, 1, 1]))[0] is Status.REFUTED
    assert decide(TWICE, rounds([1, 1, 1], [0.5, 0.5, 0.5], [1, 1, 1]))[0] is Status.REFUTED
    assert decide(GONE, rounds([0.05] * 3, [0.05] * 3, [0.05] * 3))[0] is Status.REFUTED


def test_what_vanishes_is_proven() -> None:
    """The knob switches it off."""
    assert decide(GONE, rounds([0.05] * 3, [0.0] * 3, [0.05, 0.051, 0.049]))[0] is Status.PROVEN


@pytest.mark.parametrize(
    ("a", "b", "placebo", "why"),
    [
        ([1, 1, 1], [2, 2, 2], [2, 2, 2], "placebo moved it too"),
        ([1, 1, 1], [2, 2, 3.5], [1, 1, 1], "not in each round"),
        ([1, 1, None], [2, 2, 2], [1, 1, 1], "too few rounds"),
        ([1, 1, 1], [1.42, 1.42, 1.42], [1, 1, 1], "not in each round"),
        ([0, 0, 0], [0, 0, 0], [0, 0, 0], "too few rounds"),
    ],
)
def test_what_is_not_clear_stays_supported(
    a: list[float | None], b: list[float | None], placebo: list[float | None], why: str
) -> None:
    """Neither proven nor refuted."""
    outcome, because = decide(TWICE, rounds(a, b, placebo))
    assert outcome is Status.SUPPORTED
    assert why in because


def test_ratios_are_of_medians() -> None:
    """One bad round does not move them."""
    assert ratio_of(rounds([1, 1, 9], [2, 2, 2], [1, 1, 1]), Arm.B) == 2
    assert ratio_of([], Arm.B) is None


def test_the_placebo_is_a_variable_that_nobody_reads() -> None:
    """Ours by default."""
    assert (PLACEBO.kind, PLACEBO.a != PLACEBO.b) == ("env", True)


TWO = ("too_big", "blocking")


def found(*causes: str) -> Diagnosis:
    """Return a diagnosis that names causes."""
    findings = tuple(
        Finding(
            Symptom("s", "It is slow."), Status.SUPPORTED, each, each, f"Because of {each}.", "c", "k", (), ()
        )
        for each in causes
    )
    return Diagnosis(Status.SUPPORTED, " ".join(each.sentence for each in findings), findings)


async def intervened(
    diagnosis: Diagnosis, monkeypatch: pytest.MonkeyPatch, moves: str, *knobs: str
) -> tuple[Diagnosis, list[str]]:
    """Intervene where one measure moves with the knob and the others do not; no server is started."""

    async def measured(setting: Setting, effect: Effect, result: object, plan: object) -> tuple[float, None]:
        return (2.0 if setting.environment.get("A") == "2" and effect.measure == moves else 1.0), None

    monkeypatch.setattr(rounds_module, "_measured", measured)
    plan = Plan(("serve",), Options(Target("")), "/ws", 1.0, [parse_knob(knob) for knob in knobs], PLACEBO)
    said: list[str] = []
    empty = Result("run", {}, {}, {}, "")
    return await intervene(diagnosis, empty, plan, say=said.append, clock=lambda: 0.0), said


async def test_a_knob_proves_one_cause_and_says_nothing_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other stays supported, although that knob did not move its border."""
    made, said = await intervened(found(*TWO), monkeypatch, "lone_echo", "env:A=1,2")
    assert [each.status for each in made.findings] == [Status.SUPPORTED, Status.PROVEN]
    assert made.findings[0].intervention is None
    assert made.sentence == found(*TWO).sentence
    proof = made.findings[1].intervention
    assert proof is not None
    assert [each.arm for each in proof.rounds] == [Arm.A, Arm.B, Arm.PLACEBO] * 3
    assert said[0].startswith("Prediction: ")


async def test_a_cause_that_does_not_move_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """The verdict says what refuted it."""
    made, _ = await intervened(found("blocking"), monkeypatch, "nothing", "env:A=1,2")
    (finding,) = made.findings
    assert (made.status, finding.status, finding.cause) == (Status.UNDETERMINED, Status.UNDETERMINED, None)
    assert finding.intervention is not None
    assert finding.intervention.outcome is Status.REFUTED
    assert "was refuted" in made.sentence


async def test_one_cause_of_two_symptoms_is_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """And proven for both."""
    made, said = await intervened(found("blocking", "blocking"), monkeypatch, "lone_echo", "env:A=1,2")
    assert [each.status for each in made.findings] == [Status.PROVEN, Status.PROVEN]
    assert len(said) == 1 + 9


async def test_a_second_knob_may_prove_what_the_first_did_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """The best outcome counts."""
    made, _ = await intervened(found("blocking"), monkeypatch, "lone_echo", "env:B=1,2", "env:A=1,2")
    assert made.findings[0].status is Status.PROVEN
