"""The verdict in one sentence, its status, and the figures that carry it; page and Markdown begin with it.

Where there is a diagnosis its words are taken. Without one nothing is explained here: only what was measured is said.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from roomful.probe.page.figures import count, count_of, value_of
from roomful.probe.page.reading import Node
from roomful.probe.units import format_bytes, format_rate, format_s

__all__ = ("Figure", "Headline", "headline", "tone_of")

_WORDS: Final = {
    "proven": ("cause proven", "bad"),
    "supported": ("cause supported", "bad"),
    "refuted": ("refuted", "warn"),
    "undetermined": ("cause undetermined", "warn"),
    "inconclusive": ("inconclusive", "warn"),
    "none": ("nothing wrong", "good"),
    "pass": ("pass", "good"),
    "breached": ("threshold breached", "bad"),
    "unreachable": ("unreachable", "bad"),
    "unmeasurable": ("not measurable", "warn"),
}
_NUMBERS: Final = ("No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")
_MOST_FIGURES: Final = 4
_LONGEST_HEADING: Final = 100
_END_OF_THOUGHT: Final = re.compile(r"[:.] ")
_FAULTS: Final = ("lost", "corrupted", "duplicate", "reordered", "phantom", "in doubt", "not offered", "late")


@dataclass(frozen=True, slots=True)
class Figure:
    """A number that carries the verdict, and what it is of."""

    value: str
    label: str


@dataclass(frozen=True, slots=True)
class Headline:
    """What is said first.

    Attributes:
        status: The status in words.
        tone: `good`, `bad` or `warn`.
        sentence: The verdict.
        more: What the diagnosis says beside it, where that would be too long for a heading.
        parts: When several things are wrong: status, tone and sentence of each.
        figures: What carries it.
    """

    status: str
    tone: str
    sentence: str
    more: str
    parts: tuple[tuple[str, str, str], ...]
    figures: tuple[Figure, ...]


def tone_of(status: str) -> tuple[str, str]:
    """Return a status in words, and its tone."""
    return _WORDS.get(status, (status or "unknown", "warn"))


def headline(result: Node) -> Headline:
    """Return what is said first about a run."""
    diagnosis = result.node("diagnosis")
    outcome = result.node("verdict").text("outcome")
    findings = diagnosis.nodes("findings")
    if not diagnosis:
        status, tone = tone_of(outcome)
        if outcome == "pass" and any(map(_loses, result.nodes("cells"))):
            # No threshold forbids it, but nobody wants to read "pass" above lost messages.
            status, tone = "messages are lost", "bad"
        return Headline(status, tone, _measured(result), "", (), tuple(_figures(result)))
    status, tone = tone_of(diagnosis.text("status"))
    if outcome == "breached" and not findings:
        # A threshold may be stricter than what makes a server sound.
        status, tone = tone_of(outcome)
    if len(findings) > 1:
        parts = tuple((*tone_of(each.text("status")), each.text("sentence")) for each in findings)
        number = _NUMBERS[len(findings)] if len(findings) < len(_NUMBERS) else str(len(findings))
        return Headline(status, tone, f"{number} things are wrong.", "", parts, tuple(_carrying(findings)))
    figures = _carrying(findings) if findings else _figures(result)
    sentence, more = _split(diagnosis.text("sentence") or _measured(result))
    return Headline(status, tone, sentence, more, (), tuple(figures))


def _split(text: str) -> tuple[str, str]:
    """Return a heading, and what is too long for one: cut where a thought ends."""
    found = _END_OF_THOUGHT.search(text)
    if len(text) <= _LONGEST_HEADING or found is None:
        return text, ""
    rest = text[found.end() :]
    return f"{text[: found.start()]}.", rest[:1].upper() + rest[1:]


def _carrying(findings: list[Node]) -> list[Figure]:
    """Return the first numbers of the evidence, from each finding in turn."""
    numbers = [
        [
            Figure(value_of(each.get("value"), _unit_beside(each)), each.text("what"))
            for each in finding.nodes("evidence")
            if each.number("value") is not None
        ]
        for finding in findings
    ]
    longest = max(map(len, numbers), default=0)
    mixed = [each[place] for place in range(longest) for each in numbers if place < len(each)]
    return mixed[:_MOST_FIGURES]


def _unit_beside(evidence: Node) -> str:
    """Return the unit, unless the words beside the number begin with it."""
    unit = evidence.text("unit")
    return "" if unit and evidence.text("what").startswith(unit) else unit


def _measured(result: Node) -> str:
    """Say the most important thing that was measured."""
    loads = [trial for trial in result.nodes("trials") if trial.node("spec").text("purpose") == "load"]
    if loads:
        return _of_loads(loads)
    broken = [cell for cell in result.nodes("cells") if cell.number("bad_rate") is not None]
    if broken:
        worst = min(broken, key=lambda cell: (not _loses(cell), cell.number("good_rate") or 0.0))
        return _of_cell(worst)
    for cliff in result.nodes("cliffs"):
        if cliff.number("bad") is not None and cliff.number("good") is not None:
            good, bad, unit = cliff.whole("good"), cliff.whole("bad"), cliff.text("unit")
            what = "message" if cliff.text("dimension") == "size" else "burst"
            return f"A {what} of {good:,} {unit} passes, one of {bad:,} does not; no rate broke it."
    if result.nodes("cells"):
        return "Nothing broke: the server took every rate that could be made."
    reason = result.text("stopped_by")
    return f"Nothing was measured: {reason}." if reason else "Nothing was measured."


def _of_loads(loads: list[Node]) -> str:
    bad = [trial for trial in loads if trial.text("outcome") == "bad"]
    if not bad:
        unsure = sum(trial.text("outcome") != "good" for trial in loads)
        if unsure:
            return f"{count_of(unsure, 'load')} of {len(loads)} said nothing about the server."
        return (
            "The load is good: nothing was lost and nothing came late."
            if len(loads) == 1
            else f"All {len(loads)} loads are good: nothing was lost and nothing came late."
        )
    spec, reasons = bad[0].node("spec"), bad[0].texts("reasons")
    what = (
        f"{count_of(spec.whole('burst'), 'message')} of {format_bytes(spec.number('size') or 0)} at once"
        if spec.text("shape") == "burst"
        else f"{format_rate(spec.number('rate') or 0)} of {format_bytes(spec.number('size') or 0)}"
    )
    clients = count_of(spec.whole("clients"), "client")
    others = f" {len(bad)} of {len(loads)} loads are bad." if len(loads) > 1 else ""
    return f"{what} from {clients} is too much: {reasons[0] if reasons else 'a goal was missed'}.{others}"


def _loses(cell: Node) -> bool:
    return any("lost" in reason or "closed" in reason for reason in cell.texts("reasons"))


def _of_cell(cell: Node) -> str:
    size, clients = format_bytes(cell.number("size") or 0), count_of(cell.whole("clients"), "client")
    good, bad = cell.number("good_rate"), format_rate(cell.number("bad_rate") or 0)
    why = cell.texts("reasons")
    reason = why[0] if why else "a goal was missed"
    if good is None:
        return f"No rate of {size} from {clients} is good; at {bad}: {reason}."
    return f"With messages of {size} from {clients} it takes {format_rate(good)}; at {bad}: {reason}."


def _figures(result: Node) -> list[Figure]:
    """Return numbers for a run without a diagnosis: faults first, then what was reached."""
    figures = []
    trials = [trial for trial in result.nodes("trials") if trial.node("spec").text("purpose") != "estimate"]
    for name in _FAULTS:
        number = sum(trial.node("counts").whole(name) for trial in trials)
        if number:
            figures.append(Figure(count(number), f"{name} in all trials"))
    closes = sum(len(trial.items("closes")) for trial in trials)
    if closes:
        figures.append(Figure(count(closes), "connections closed by the server"))
    figures = figures[:2]
    rated = [cell for cell in result.nodes("cells") if cell.number("good_rate") is not None]
    if rated:
        slowest = min(rated, key=lambda cell: cell.number("good_rate") or 0.0)
        least = "at least " if slowest.text("kind") in ("at_least", "open") else ""
        figures.append(
            Figure(
                format_rate(slowest.number("good_rate") or 0),
                f"highest good rate of {format_bytes(slowest.number('size') or 0)} from "
                f"{count_of(slowest.whole('clients'), 'client')}{', ' + least.strip() if least else ''}",
            )
        )
    for cliff in result.nodes("cliffs"):
        good = cliff.number("good")
        if good is None:
            continue
        size = cliff.text("dimension") == "size"
        least = "" if cliff.number("bad") is not None else ", at least"
        label = "largest message that passes" if size else "largest burst that passes, in messages"
        figures.append(Figure(format_bytes(good) if size else count(good), label + least))
    loads = [trial for trial in trials if trial.node("spec").text("purpose") == "load"]
    slow = [p99 for trial in loads if (p99 := trial.node("latency").number("p99_s")) is not None]
    if slow:
        figures.append(Figure(format_s(max(slow)), "p99 of the slowest load"))
    if loads:
        arrived, owed = (sum(trial.whole(name) for trial in loads) for name in ("arrived", "owed"))
        figures.append(Figure(count(arrived), f"messages arrived of {owed:,} owed"))
    return figures[:_MOST_FIGURES]
