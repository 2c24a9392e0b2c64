"""The form of a diagnosis in JSON: what is written can be read again, and another version is refused."""

from __future__ import annotations

import json

import pytest

from roomful.probe.findings import (
    Arm,
    Diagnosis,
    Evidence,
    Finding,
    Intervention,
    Knob,
    Prediction,
    Rival,
    RivalState,
    Round,
    Status,
    Symptom,
    diagnosis_from_json,
    diagnosis_to_json,
)


def whole() -> Diagnosis:
    """Return a diagnosis that has everything."""
    evidence = Evidence(
        "a lone message is answered after", 0.021, "s", "at least 0.005", True, "question lone", 1.5, 3
    )
    knob = Knob("env", "BLOCK_MS", "20", "40")
    intervention = Intervention(
        knob=knob,
        prediction=Prediction("twice as long", "lone_echo", "s", 1.5, None),
        rounds=(
            Round(Arm.A, "BLOCK_MS=20", 0.02, 30.0),
            Round(Arm.PLACEBO, "X=1", None, 31.0, "it did not start"),
        ),
        ratio=2.0,
        placebo=Knob("env", "X", "0", "1"),
        placebo_ratio=None,
        outcome=Status.SUPPORTED,
        because="the placebo could not be measured",
    )
    rival = Rival("cpu", "CPU-bound handler", RivalState.OPEN, "its processes cannot be seen", (evidence,))
    finding = Finding(
        symptom=Symptom("slow", "It answers slowly."),
        status=Status.SUPPORTED,
        cause="blocking",
        title="Blocking call",
        sentence="The loop is blocked.",
        cure="Await.",
        knob="how long the call takes",
        evidence=(evidence,),
        rivals=(rival,),
        intervention=intervention,
    )
    return Diagnosis(Status.SUPPORTED, "The loop is blocked.", (finding,), ("a note",))


def test_a_diagnosis_survives_json() -> None:
    """Everything that is written is read again."""
    assert diagnosis_from_json(json.loads(json.dumps(diagnosis_to_json(whole())))) == whole()


def test_fields_that_are_unknown_are_left_out() -> None:
    """A newer probe may add fields without a new schema."""
    assert diagnosis_from_json(diagnosis_to_json(whole()) | {"later": 1}) == whole()


@pytest.mark.parametrize(
    "change", [{"schema": "roomful.probe.diagnosis/9"}, {"findings": [7]}, {"status": "sure"}]
)
def test_what_is_no_diagnosis_is_refused(change: dict[str, object]) -> None:
    """With a clear error."""
    with pytest.raises(ValueError, match=r"diagnosis|sure"):
        diagnosis_from_json(diagnosis_to_json(whole()) | change)


def test_what_is_not_finite_is_unknown() -> None:
    """JSON has no NaN."""
    broken = Evidence("a", float("nan"), "s", "b", None, "c")
    finding = Finding(Symptom("a", "b"), Status.UNDETERMINED, None, "", "c", None, None, (broken,), ())
    made = diagnosis_to_json(Diagnosis(Status.UNDETERMINED, "c", (finding,)))
    assert '"value": null' in json.dumps(made, allow_nan=False)
