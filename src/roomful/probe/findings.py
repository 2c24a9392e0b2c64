"""What a diagnosis says: symptoms, the cause of each with its evidence, rivals with what refuted them, interventions.

Values alone, each with its form in JSON: `diagnosis` fills them, terminal and page show them.
Times named `at_s` count from the run's start; a value that is unknown is `None`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import Enum
from types import MappingProxyType
from typing import Final

__all__ = (
    "DIAGNOSIS_SCHEMA",
    "Arm",
    "Diagnosis",
    "Evidence",
    "Finding",
    "Intervention",
    "Knob",
    "Prediction",
    "Rival",
    "RivalState",
    "Round",
    "Status",
    "Symptom",
    "diagnosis_from_json",
    "diagnosis_to_json",
)

DIAGNOSIS_SCHEMA: Final = "roomful.probe.diagnosis/1"
"""Changes with every change that a reader must know of; fields are added without one."""


class Status(Enum):
    """How much is known about a cause; of an intervention, what came of it (`proven`, `supported`, `refuted`)."""

    PROVEN = "proven"
    """Its evidence is there, its rivals are refuted, and an intervention moved the border as was predicted."""
    SUPPORTED = "supported"
    """Its evidence is there and its rivals are refuted; nobody has intervened, or not clearly enough."""
    REFUTED = "refuted"
    """Of an intervention alone: the border did not move as the cause says that it must."""
    UNDETERMINED = "undetermined"
    """Something is wrong, and what was seen does not decide between causes."""
    INCONCLUSIVE = "inconclusive"
    """The generator, or the machine, was too busy to say anything."""
    NONE = "none"
    """Nothing is wrong."""


class RivalState(Enum):
    """What became of another possible cause."""

    REFUTED = "refuted"
    OPEN = "open"


class Arm(Enum):
    """Which setting a round of an intervention was made with."""

    A = "A"
    B = "B"
    PLACEBO = "placebo"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One thing that was seen, and what it was compared with.

    Attributes:
        what: In words, such as `a ping on another connection while one message is handled`.
        value: What was seen: a number, a text, a truth; `None` when it could not be seen.
        unit: Of a number: `s`, `bytes`, `messages`, `share`, `1/s`, `connections`, or empty.
        expected: What the cause asks for, in words, such as `at least 0.5 of the echo's time`.
        holds: Whether it is so; `None` when it could not be seen.
        source: Where it was seen: `ledger`, `closes`, `question lone`, `processes`, `net`, `child`, …
        at_s: When, if it was at one time.
        trial: In which trial, if it was in one.
    """

    what: str
    value: float | int | str | bool | None
    unit: str
    expected: str
    holds: bool | None
    source: str
    at_s: float | None = None
    trial: int | None = None


@dataclass(frozen=True, slots=True)
class Rival:
    """Another cause that has the same symptom.

    Attributes:
        cause: Its id.
        title: Its name in words.
        state: Whether it is refuted, or open.
        because: What refuted it, or what is missing to refute it.
        evidence: What was looked at.
    """

    cause: str
    title: str
    state: RivalState
    because: str
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True)
class Symptom:
    """What went wrong, before any cause is named; `id` is a stable word."""

    id: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Knob:
    """What may be changed: an environment variable (`env`), an argument (`arg`) or a limit (`limit`)."""

    kind: str
    name: str
    a: str
    b: str


@dataclass(frozen=True, slots=True)
class Prediction:
    """What is stated before anything is changed.

    Attributes:
        sentence: In words.
        measure: The id of what is measured, such as `largest_size`.
        unit: Of its values.
        low, high: Between which the measure at B, divided by the measure at A, has to lie; `high` is `None` for
            *no bound*.
    """

    sentence: str
    measure: str
    unit: str
    low: float
    high: float | None


@dataclass(frozen=True, slots=True)
class Round:
    """One server, started with one setting, and the measure; `error` says why there is none."""

    arm: Arm
    setting: str
    value: float | None
    at_s: float
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Intervention:
    """A knob was turned, A and B in turn, and one turned that must not matter.

    Attributes:
        knob: What was changed.
        prediction: What was stated beforehand.
        rounds: All measures, in the order in which they were made.
        ratio: Median at B divided by median at A.
        placebo: The knob that must not matter.
        placebo_ratio: Median with the placebo changed, divided by the median at A.
        outcome: `proven`, `supported` or `refuted`.
        because: Why, in a sentence.
    """

    knob: Knob
    prediction: Prediction
    rounds: tuple[Round, ...]
    ratio: float | None
    placebo: Knob
    placebo_ratio: float | None
    outcome: Status
    because: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One symptom and what is known of its cause.

    Attributes:
        symptom: What went wrong.
        status: `proven`, `supported`, `undetermined` or `inconclusive`.
        cause: Its id; `None` unless it is proven or supported.
        title: Its name in words; empty when there is none.
        sentence: The verdict: a whole sentence that names cause and grounds.
        cure: What to do; `None` without a cause.
        knob: Which setting of the server moves the border, in words; `None` without a cause.
        evidence: For the cause; of an undetermined one, what was looked at.
        rivals: The other causes of such a symptom.
        intervention: What came of turning a knob; `None` when none was turned.
    """

    symptom: Symptom
    status: Status
    cause: str | None
    title: str
    sentence: str
    cure: str | None
    knob: str | None
    evidence: tuple[Evidence, ...]
    rivals: tuple[Rival, ...]
    intervention: Intervention | None = None


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What a whole run says about causes.

    Attributes:
        status: That of the first finding; `none` without findings, or `inconclusive`.
        sentence: The verdict in one sentence.
        findings: The worst first. Several faults at once have a finding each.
        notes: What else a reader should know: what limits a sound server, what could not be seen.
        schema: Version of this form.
    """

    status: Status
    sentence: str
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = field(default=())
    schema: str = DIAGNOSIS_SCHEMA

    @property
    def causes(self) -> tuple[str, ...]:
        """The ids of all causes that are named."""
        return tuple(finding.cause for finding in self.findings if finding.cause is not None)


_ENUMS: Final[Mapping[tuple[str, str], type[Enum]]] = MappingProxyType(
    {
        ("Rival", "state"): RivalState,
        ("Round", "arm"): Arm,
        ("Intervention", "outcome"): Status,
        ("Finding", "status"): Status,
        ("Diagnosis", "status"): Status,
    }
)
_PARTS: Final[Mapping[tuple[str, str], type]] = MappingProxyType(
    {
        ("Rival", "evidence"): Evidence,
        ("Intervention", "knob"): Knob,
        ("Intervention", "placebo"): Knob,
        ("Intervention", "prediction"): Prediction,
        ("Intervention", "rounds"): Round,
        ("Finding", "symptom"): Symptom,
        ("Finding", "evidence"): Evidence,
        ("Finding", "rivals"): Rival,
        ("Finding", "intervention"): Intervention,
        ("Diagnosis", "findings"): Finding,
    }
)


def diagnosis_to_json(diagnosis: Diagnosis) -> dict[str, object]:
    """Return it as objects, arrays, numbers and texts; what is not finite is `None`."""
    made = _to_json(diagnosis)
    assert isinstance(made, dict), "a dataclass becomes an object"
    return made


def diagnosis_from_json(value: Mapping[str, object]) -> Diagnosis:
    """Read what `diagnosis_to_json` made; fields that are unknown here are left out.

    Raises:
        ValueError: it has another schema, or is none.
    """
    if value.get("schema") != DIAGNOSIS_SCHEMA:
        raise ValueError(f"schema of the diagnosis is {value.get('schema')!r}; expected {DIAGNOSIS_SCHEMA!r}")
    try:
        made = _from_json(Diagnosis, value)
    except (TypeError, KeyError) as error:
        raise ValueError(f"the diagnosis is damaged: {error}") from error
    assert isinstance(made, Diagnosis), "it is what was asked for"
    return made


def _to_json(value: object) -> object:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple):
        return [_to_json(each) for each in value]
    if isinstance(value, float):
        return round(value, 9) if math.isfinite(value) else None
    if hasattr(value, "__dataclass_fields__"):
        return {name: _to_json(getattr(value, name)) for name in value.__dataclass_fields__}
    return value


def _from_json(kind: type, value: object) -> object:
    if not isinstance(value, Mapping):
        raise TypeError(f"{kind.__name__} is {type(value).__name__}")
    found: dict[str, object] = {}
    for each in fields(kind):
        if each.name not in value:
            continue
        content = value[each.name]
        key = (kind.__name__, each.name)
        if key in _ENUMS:
            content = _ENUMS[key](content)
        elif key in _PARTS:
            part = _PARTS[key]
            if isinstance(content, list):
                content = tuple(_from_json(part, one) for one in content)
            elif content is not None:
                content = _from_json(part, content)
        elif isinstance(content, list):
            content = tuple(content)
        found[each.name] = content
    return kind(**found)
