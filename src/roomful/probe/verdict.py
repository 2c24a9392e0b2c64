"""What the whole run says: measures for thresholds, sentences, and the exit code. Pure."""

from __future__ import annotations

from roomful.probe.errors import ExitCode
from roomful.probe.options import Options
from roomful.probe.results import Cell, Cliff, Outcome, Result, Trial
from roomful.probe.units import format_bytes, format_rate, format_s

__all__ = ("conclude", "measures_of", "sentence_of_cell", "sentence_of_cliff")

_COUNTS = {
    "loss": "lost",
    "late": "late",
    "told": "told",
    "duplicate": "duplicate",
    "reordered": "reordered",
    "corrupted": "corrupted",
    "phantom": "phantom",
    "in_doubt": "in doubt",
    "not_offered": "not offered",
}
_ENDS = {
    "generator": "the generator can no more",
    "ceiling": "no more was tried",
    "time": "time ran out",
    "machine": "the machine was too busy to say more",
    "trials": "the trials said no more",
}


def conclude(result: Result, options: Options) -> None:
    """Fill the result's thresholds and verdict."""
    measures = measures_of(result)
    result.thresholds = [
        {
            "text": threshold.text,
            "value": measures.get(threshold.measure),
            "limit": threshold.limit,
            "breached": threshold.breached(measures),
        }
        for threshold in options.thresholds
    ]
    breached = [str(each["text"]) for each in result.thresholds if each["breached"]]
    undecided = [str(each["text"]) for each in result.thresholds if each["breached"] is None]
    sentences = [sentence_of_cliff(cliff) for cliff in result.cliffs]
    sentences += [sentence_of_cell(cell) for cell in result.cells]
    sentences += [_sentence_of_load(trial) for trial in result.trials if trial.spec.purpose == "load"]
    sentences += _after(result)
    why = _inconclusive(result)
    if undecided:
        why.append(f"not decided: {', '.join(undecided)}")
    if breached:
        code, word = ExitCode.BREACHED, "breached"
        sentences.append(f"Threshold breached: {', '.join(breached)}.")
    elif why:
        code, word = ExitCode.INCONCLUSIVE, "inconclusive"
        sentences.append(f"Inconclusive: {'; '.join(why)}.")
    else:
        code, word = ExitCode.PASS, "pass"
    result.verdict = {"outcome": word, "exit_code": int(code), "sentences": sentences, "inconclusive": why}


def measures_of(result: Result) -> dict[str, float | None]:
    """Return what thresholds are compared with.

    Latencies and counts are those of the loads, or in a search those of all good trials at rates; counts of faults
    in a search are of every trial at a rate or in a burst, as a loss under overload is a loss.
    """
    loads = [trial for trial in result.trials if trial.spec.purpose == "load"]
    timed = loads or [t for t in result.trials if t.spec.purpose == "rate" and t.outcome is Outcome.GOOD]
    counted = loads or [t for t in result.trials if t.spec.purpose in ("rate", "burst")]
    measures: dict[str, float | None] = {}
    for name in ("p50", "p90", "p99", "p999", "max", "mean"):
        values = [getattr(trial.latency, f"{name}_s") for trial in timed if trial.latency is not None]
        measures[name] = max(values, default=None)
    for name, verdict in _COUNTS.items():
        measures[name] = sum(trial.counts.get(verdict, 0) for trial in counted) if counted else None
    measures["closes"] = sum(len(trial.closes) for trial in counted) if counted else None
    measures["bad"] = max((trial.bad_fraction for trial in timed), default=None)
    rated = [cell for cell in result.cells if cell.kind in ("found", "at_least", "open", "none")]
    if rated:
        slowest = min(rated, key=lambda cell: cell.good_rate or 0.0)
        measures["rate"] = slowest.good_rate or 0.0
        measures["rate_at_least"] = float(slowest.kind in ("at_least", "open"))
    for cliff in result.cliffs:
        measures[cliff.dimension] = float(cliff.good or 0)
        measures[f"{cliff.dimension}_at_least"] = float(not cliff.exact)
    return measures


def sentence_of_cliff(cliff: Cliff) -> str:
    """Say where a border lies."""
    size = cliff.dimension == "size"
    what = "message" if size else "burst"
    good = "none" if cliff.good is None else f"{cliff.good:,} {cliff.unit}"
    if size and cliff.good is not None:
        good += f" ({format_bytes(cliff.good)})"
    if cliff.bad is None:
        known = "not known" if cliff.good is None else f"at least {good}"
        end = _ENDS["trials"] if cliff.given_up else "no larger one was tried"
        return f"Largest {what} that passes: {known}; {end}."
    how = f"one with {cliff.bad:,} fails"
    if cliff.bad - (cliff.good or 0) > 1:
        how += ", the border lies between"
    elif cliff.good is not None and not cliff.exact:
        how += ", not confirmed"
    if cliff.given_up:
        how += f"; {_ENDS['trials']}"
    why = ", ".join(cliff.reasons)
    if cliff.close_code is not None:
        why = f"closed with {cliff.close_code} {cliff.close_reason}".rstrip() + (f"; {why}" if why else "")
    return f"Largest {what} that passes: {good}; {how}" + (f" ({why})." if why else ".")


def sentence_of_cell(cell: Cell) -> str:
    """Say how far a cell goes."""
    clients = f"{cell.clients} client{'s' * (cell.clients > 1)}"
    start = f"{format_bytes(cell.size)} from {clients}: "
    why = f" ({', '.join(cell.reasons)})" if cell.reasons else ""
    end = _ENDS.get(cell.limited_by or "", "time ran out")
    if cell.good_rate is None:
        nothing = {"invalid": "no trial said anything", "none": "no rate is good"}.get(cell.kind, end)
        if cell.kind == "invalid" and cell.limited_by is not None:
            nothing += f"; {end}"
        return f"{start}{nothing}{why}."
    good = format_rate(cell.good_rate)
    if cell.kind == "at_least":
        return f"{start}at least {good}; {_ENDS.get(cell.limited_by or '', 'no more was tried')}."
    bad = "" if cell.bad_rate is None else f", {format_rate(cell.bad_rate)} is not{why}"
    return f"{start}{good} is good{bad}" + (f"; {end}." if cell.kind == "open" else ".")


def _sentence_of_load(trial: Trial) -> str:
    spec = trial.spec
    start = f"{format_rate(spec.rate)} of {format_bytes(spec.size)} from {spec.clients}"
    latency = "" if trial.latency is None else f", p99 {format_s(trial.latency.p99_s)}"
    faults = ", ".join(trial.reasons) or "nothing lost or late"
    lost = "" if trial.counts.get("lost") else ", 0 lost"
    numbers = f"{trial.intended:,} intended, {trial.arrived:,} arrived{lost}{latency}"
    return f"{start}: {trial.outcome.value}; {numbers}; {faults}."


def _after(result: Result) -> list[str]:
    if len(result.baselines) < 2:
        return []
    before, after = result.baselines[0], result.baselines[-1]
    if not after.get("reachable"):
        return [f"Afterwards the server could not be reached: {after.get('error')}."]
    first, last = before.get("p50_s"), after.get("p50_s")
    if isinstance(first, float) and isinstance(last, float) and last > 5 * first + 0.005:
        return [
            f"Afterwards it answers more slowly than before: {format_s(last)} instead of {format_s(first)}."
        ]
    return []


def _inconclusive(result: Result) -> list[str]:
    why = []
    if not result.complete:
        why.append(f"the run was stopped ({result.stopped_by or 'error'})")
    loads = [trial for trial in result.trials if trial.spec.purpose == "load"]
    why += [f"trial {t.number}: {t.reasons[0]}" for t in loads if t.outcome is Outcome.INVALID]
    searched = [trial for trial in result.trials if trial.spec.purpose in ("rate", "size", "burst")]
    invalid = [trial for trial in searched if trial.outcome is Outcome.INVALID]
    if searched and len(invalid) * 2 > len(searched):
        why.append(f"{len(invalid)} of {len(searched)} trials said nothing")
    if result.cells and all(cell.kind == "invalid" for cell in result.cells):
        why.append("no cell has a result")
    return why
