"""What a cause predicts of a knob, and what the rounds say to it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, log
from statistics import median
from typing import Final

from roomful.probe.diagnosis.causes import Cause
from roomful.probe.findings import Arm, Knob, Prediction, Round, Status

__all__ = ("LEAST_ROUNDS", "decide", "predict", "ratio_of")

LEAST_ROUNDS: Final = 3
_GONE: Final = 0.1
"""What is meant to vanish may leave so much."""
_MOVED: Final = 1 / 3
"""Of the way that was predicted: less of it is *not moved*."""


def predict(cause: Cause, knob: Knob, unit: str) -> Prediction | None:
    """Return what the cause says will happen; `None` when it says nothing about such values."""
    effect = cause.effect
    if effect is None:
        return None
    turned = f"{knob.name}={knob.b} instead of {knob.a}"
    start = f"If the cause is “{cause.title}”, {turned}"
    if effect.how == "vanishes":
        return Prediction(f"{start} makes {effect.says} vanish.", effect.measure, unit, 0.0, _GONE)
    try:
        ratio = float(knob.b) / float(knob.a)
    except (ValueError, ZeroDivisionError):
        return None
    if effect.how == "grows":
        low, high = (effect.low, None) if ratio > 1 else (0.0, 1 / effect.low)
        word = "more" if ratio > 1 else "less"
        return Prediction(f"{start} makes {effect.says} clearly {word}.", effect.measure, unit, low, high)
    low, high = sorted((ratio * effect.low, ratio * effect.high))
    return Prediction(
        f"{start} changes {effect.says} to {ratio:.3g} times as much, that is {low:.3g} to {high:.3g} times.",
        effect.measure,
        unit,
        round(low, 4),
        round(high, 4),
    )


def ratio_of(rounds: Sequence[Round], arm: Arm) -> float | None:
    """Return the median of an arm divided by that of A."""
    base, other = _values(rounds, Arm.A), _values(rounds, arm)
    if not base or not other or not median(base):
        return None
    return round(median(other) / median(base), 4)


def decide(prediction: Prediction, rounds: Sequence[Round]) -> tuple[Status, str]:
    """Return what came of it, and why."""
    a, b, placebo = (_values(rounds, arm) for arm in (Arm.A, Arm.B, Arm.PLACEBO))
    ratio, still = ratio_of(rounds, Arm.B), ratio_of(rounds, Arm.PLACEBO)
    if min(len(a), len(b), len(placebo)) < LEAST_ROUNDS or ratio is None or still is None:
        return Status.SUPPORTED, (
            f"too few rounds could be measured: {len(a)} at A, {len(b)} at B, {len(placebo)} with the placebo; "
            f"{LEAST_ROUNDS} of each are needed"
        )
    low, high = prediction.low, inf if prediction.high is None else prediction.high
    wanted = f"at least {low:.3g}" if high == inf else f"{low:.3g} to {high:.3g}"
    shown = f"B was {ratio:.3g} times A (predicted {wanted})"
    way = _way(low, high)
    if abs(_log(still)) > abs(way) * _MOVED:
        return (
            Status.SUPPORTED,
            f"{shown}, but the placebo moved it too ({still:.3g}): it is not steady enough",
        )
    if not low <= ratio <= high and _log(ratio) * (1 if way > 0 else -1) < abs(way) * _MOVED:
        return Status.REFUTED, f"{shown}: it did not move as it must; the placebo is at {still:.3g}"
    each = [second / first for first, second in zip(a, b, strict=False) if first]
    apart = max(a) < min(b) or max(b) < min(a)
    if low <= ratio <= high and all(low <= one <= high for one in each) and apart:
        return (
            Status.PROVEN,
            f"{shown} in each of {len(each)} rounds, and the placebo moved nothing ({still:.3g})",
        )
    return Status.SUPPORTED, f"{shown}, not in each round: {', '.join(f'{one:.3g}' for one in each)}"


def _values(rounds: Sequence[Round], arm: Arm) -> list[float]:
    return [each.value for each in rounds if each.arm is arm and each.value is not None]


def _way(low: float, high: float) -> float:
    """Return how far it is to move, as a logarithm: to the near end of what was predicted."""
    return _log(low) if low > 1 else _log(high)


def _log(value: float) -> float:
    return log(max(value, 1e-3))
