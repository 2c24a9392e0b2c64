"""Make the rounds of an intervention: start the server with a setting, measure, stop it; A, B, placebo in turn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from roomful.probe.child import Child
from roomful.probe.diagnosis.causes import Effect, cause_of
from roomful.probe.errors import ProbeError
from roomful.probe.findings import Arm, Diagnosis, Finding, Intervention, Knob, Round, Status
from roomful.probe.intervention.knobs import Setting, setting_of
from roomful.probe.intervention.measures import MEASURES, Subject
from roomful.probe.intervention.predict import LEAST_ROUNDS, decide, predict, ratio_of
from roomful.probe.mode import Mode
from roomful.probe.options import Options
from roomful.probe.results import Result

__all__ = ("Plan", "intervene")

_MOST_BYTES: Final = 64 << 20
_SIZE: Final = 128
_RANK: Final = {Status.REFUTED: 0, Status.SUPPORTED: 1, Status.PROVEN: 2}
_MOST_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What an intervention may do.

    Attributes:
        command: What is started each time.
        options: Of the run; its URL is empty when the port is to be found.
        path: Of the URL, when the port is found.
        start_timeout_s: How long the command may take until it listens.
        knobs: What may be changed; the run before was made with each at A.
        placebo: What must not matter.
        rounds: How often A, B and the placebo are measured.
    """

    command: Sequence[str]
    options: Options
    path: str
    start_timeout_s: float
    knobs: Sequence[Knob]
    placebo: Knob
    rounds: int = LEAST_ROUNDS


async def intervene(
    diagnosis: Diagnosis,
    result: Result,
    plan: Plan,
    *,
    say: Callable[[str], None],
    clock: Callable[[], float],
) -> Diagnosis:
    """Turn the knobs for each cause that is named; return the diagnosis with what came of it.

    A knob that proves one cause says nothing against another. One that moves nothing of the only cause that it was
    offered for refutes that cause.

    Args:
        diagnosis: What was found.
        result: Of the run, for the sizes that matter.
        plan: What may be done.
        say: Told each prediction before anything is changed, and each measure.
        clock: Seconds since the run began.
    """
    best: dict[str, Intervention] = {}
    for knob in plan.knobs:
        # A cause may have two symptoms, and is tried once.
        for cause in dict.fromkeys(diagnosis.causes):
            if cause in best and best[cause].outcome is Status.PROVEN:
                continue
            made = await _try(cause, knob, result, plan, say=say, clock=clock)
            if made is None:
                continue
            if cause not in best or _RANK[made.outcome] > _RANK[best[cause].outcome]:
                best[cause] = made
            if made.outcome is Status.PROVEN:
                break
    proven = {made.knob for made in best.values() if made.outcome is Status.PROVEN}
    findings = [_settled(finding, best.get(finding.cause or ""), proven) for finding in diagnosis.findings]
    sentences = list(dict.fromkeys(finding.sentence for finding in findings))
    before = list(dict.fromkeys(finding.sentence for finding in diagnosis.findings))
    sentence = diagnosis.sentence if sentences == before else " ".join(sentences)
    return replace(diagnosis, status=findings[0].status, sentence=sentence, findings=tuple(findings))


def _settled(finding: Finding, made: Intervention | None, proven: set[Knob]) -> Finding:
    """Return a finding with what came of turning knobs."""
    if made is None or (made.outcome is Status.REFUTED and made.knob in proven):
        # Nothing was turned for it, or a knob that was another cause's.
        return finding
    if made.outcome is Status.PROVEN:
        return replace(finding, status=Status.PROVEN, intervention=made)
    if made.outcome is not Status.REFUTED:
        return replace(finding, intervention=made)
    sentence = f"{finding.symptom.sentence} The cause is not known: “{finding.title}” was refuted, as {made.because}."
    return replace(
        finding,
        status=Status.UNDETERMINED,
        cause=None,
        sentence=sentence,
        cure=None,
        knob=None,
        intervention=made,
    )


async def _try(
    cause_id: str,
    knob: Knob,
    result: Result,
    plan: Plan,
    *,
    say: Callable[[str], None],
    clock: Callable[[], float],
) -> Intervention | None:
    cause = cause_of(cause_id)
    if cause.effect is None:
        return None
    unit = MEASURES[cause.effect.measure].unit
    prediction = predict(cause, knob, unit)
    if prediction is None:
        return None
    say(f"Prediction: {prediction.sentence}")
    rounds: list[Round] = []
    for _ in range(max(plan.rounds, LEAST_ROUNDS)):
        for arm in (Arm.A, Arm.B, Arm.PLACEBO):
            values = [(each, each.a) for each in plan.knobs if each != knob]
            values.append((knob, knob.b if arm is Arm.B else knob.a))
            values.append((plan.placebo, plan.placebo.b if arm is Arm.PLACEBO else plan.placebo.a))
            setting = setting_of(plan.command, values)
            at_s = round(clock(), 3)
            value, error = await _measured(setting, cause.effect, result, plan)
            if value is None:
                # A machine that was busy for a moment does not end it.
                value, error = await _measured(setting, cause.effect, result, plan)
            made = Round(arm, setting.text, value, at_s, error)
            rounds.append(made)
            say(f"  {arm.value:<8} {made.setting}: {made.error or f'{made.value:.6g} {unit}'}")
    outcome, because = decide(prediction, rounds)
    return Intervention(
        knob=knob,
        prediction=prediction,
        rounds=tuple(rounds),
        ratio=ratio_of(rounds, Arm.B),
        placebo=plan.placebo,
        placebo_ratio=ratio_of(rounds, Arm.PLACEBO),
        outcome=outcome,
        because=because,
    )


async def _measured(
    setting: Setting, effect: Effect, result: Result, plan: Plan
) -> tuple[float | None, str | None]:
    """Return the measure of a server with a setting, or why there is none."""
    child = None
    try:
        child = await Child.start(setting.command, setting.environment)
        url = plan.options.target.url
        if url:
            await child.wait_listening(plan.options.target, timeout_s=plan.start_timeout_s)
        else:
            url = await child.find_url(plan.path, timeout_s=plan.start_timeout_s)
        options = replace(plan.options, target=replace(plan.options.target, url=url))
        async with asyncio.timeout(_MOST_S):
            value = await MEASURES[effect.measure].take(_subject(options, result))
        return value, "no border was found" if value is None else None
    except ProbeError as failure:
        return None, str(failure)
    except TimeoutError:
        return None, f"not measured within {_MOST_S:g} s"
    finally:
        if child is not None:
            await child.stop()


def _subject(options: Options, result: Result) -> Subject:
    """Say at which sizes to look: where the run saw the faults."""
    bad = next((cliff.bad for cliff in result.cliffs if cliff.dimension == "size"), None)
    faulty = [trial.spec.size for trial in result.trials if trial.counts.get("corrupted")]
    reach = min(8 * bad, _MOST_BYTES) if bad is not None else 1 << 20
    mode = result.target.get("mode")
    return Subject(options, Mode(mode), size=max(faulty, default=_SIZE), reach=reach)
