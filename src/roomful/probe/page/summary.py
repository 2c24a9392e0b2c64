"""The result as Markdown, for the summary of a CI job or a pull request: the order of the page, shorter."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from roomful.probe.page.figures import count, count_of, percent, value_of
from roomful.probe.page.headline import headline, tone_of
from roomful.probe.page.ledger import sums
from roomful.probe.page.markup import plain
from roomful.probe.page.method import machine
from roomful.probe.page.reading import Node
from roomful.probe.units import format_bytes, format_rate, format_s

__all__ = ("markdown_table", "safe", "summarise")

_MOST_ROWS: Final = 60
"""More rows than anybody reads in a summary; the page has them all."""
_MOST_TEXT: Final = 400
_SIGNS: Final = {"good": "✅", "bad": "❌", "warn": "⚠️"}
# What has a meaning in Markdown wherever it stands, and what has one at the beginning of a line.
_SPECIAL: Final = re.compile(r"([\\`*_\[\]<>#|~$&]|^[-+=])")
_NUMBERED: Final = re.compile(r"^(\d+)([.)])(?= |$)")
# What GitHub makes a link or a mention of.
_LINK: Final = re.compile(r"(?<=@)|(?<=:)(?=//)|(?<=www)(?=\.)", re.IGNORECASE)


def safe(text: str) -> str:
    """Return text that Markdown shows as it is, on one line."""
    shown = " ".join(plain(text).split())
    shown = shown if len(shown) <= _MOST_TEXT else shown[:_MOST_TEXT] + "…"
    escaped = _NUMBERED.sub(r"\1\\\2", _SPECIAL.sub(r"\\\1", shown))
    return _LINK.sub("&#8203;", escaped)


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table; its cells are Markdown already."""
    every = list(rows)
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    lines += [f"| {' | '.join(row)} |" for row in every[:_MOST_ROWS]]
    if len(every) > _MOST_ROWS:
        lines += ["", f"… and {len(every) - _MOST_ROWS} more."]
    return [*lines, ""]


def summarise(result: object) -> str:
    """Return the Markdown of a result; no text of it becomes markup."""
    found = Node(result)
    first = headline(found)
    target = found.node("target")
    lines = [f"## {_SIGNS[first.tone]} {safe(first.sentence)}", ""]
    lines += [safe(first.more), ""] if first.more else []
    lines += [f"- {_SIGNS[tone]} **{safe(status)}** {safe(said)}" for status, tone, said in first.parts]
    lines += [""] if first.parts else []
    about = [first.status, target.text("url"), target.text("mode")]
    lines += [" · ".join(safe(each) for each in about if each), ""]
    if found.flag("complete") is not True:
        lines += [f"**Partial**: {safe(found.text('stopped_by') or 'the run did not come to its end')}.", ""]
    if first.figures:
        lines += markdown_table(
            ("", ""), [(f"**{safe(figure.value)}**", safe(figure.label)) for figure in first.figures]
        )
    lines += _thresholds(found.nodes("thresholds"))
    for finding in found.node("diagnosis").nodes("findings"):
        lines += _finding(finding)
    lines += _cliffs(found.nodes("cliffs"))
    lines += _cells(found.nodes("cells"))
    lines += _loads(found)
    lines += _ledger(found)
    facts = "; ".join(f"{name}: {value}" for name, value in machine(found.node("machine")))
    lines.append(f"<sub>{safe(facts)}</sub>")
    return "\n".join(lines) + "\n"


def _thresholds(thresholds: list[Node]) -> list[str]:
    if not thresholds:
        return []
    words = {True: "❌ breached", False: "✅ kept", None: "⚠️ not decided"}
    return markdown_table(
        ("Fails if", "Measured", ""),
        [
            (safe(each.text("text")), value_of(each.number("value"), ""), words[each.flag("breached")])
            for each in thresholds
        ],
    )


def _finding(finding: Node) -> list[str]:
    status, _ = tone_of(finding.text("status"))
    lines = [f"### {safe(finding.text('title') or 'No single cause')} ({safe(status)})", ""]
    if symptom := finding.node("symptom").text("sentence"):
        lines += [safe(symptom), ""]
    signs = {True: "✅", False: "❌", None: "❔"}
    seen = finding.nodes("evidence")
    if seen:
        lines += markdown_table(
            ("Seen", "Value", "Expected", ""),
            [
                (
                    safe(each.text("what")),
                    safe(value_of(each.get("value"), each.text("unit"))),
                    safe(each.text("expected")),
                    signs[each.flag("holds")],
                )
                for each in seen
            ],
        )
    for rival in finding.nodes("rivals"):
        name = safe(rival.text("title") or rival.text("cause"))
        name = f"~~{name}~~ refuted" if rival.text("state") == "refuted" else f"{name}: open"
        lines.append(f"- {name}: {safe(rival.text('because'))}")
    lines += [""] if finding.nodes("rivals") else []
    if intervention := finding.node("intervention"):
        outcome = safe(intervention.text("outcome"))
        lines += [f"Intervention, **{outcome}**: {safe(intervention.text('because'))}", ""]
    if finding.text("cure"):
        lines += [f"**Cure.** {safe(finding.text('cure'))}", ""]
    return lines


def _cliffs(cliffs: list[Node]) -> list[str]:
    rows = []
    for cliff in cliffs:
        name = "Largest message" if cliff.text("dimension") == "size" else "Most messages at once"
        unit, good, bad = cliff.text("unit"), cliff.number("good"), cliff.number("bad")
        rows.append(
            (
                name,
                "none" if good is None else safe(f"{good:,.0f} {unit}"),
                "not tried" if bad is None else safe(f"{bad:,.0f} {unit}"),
                safe(", ".join(cliff.texts("reasons"))),
            )
        )
    return markdown_table(("Border", "Passes", "Fails", "Why"), rows) if rows else []


def _cells(cells: list[Node]) -> list[str]:
    rows = []
    for cell in cells:
        good, bad = cell.number("good_rate"), cell.number("bad_rate")
        least = "≥ " if bad is None and good is not None else ""
        rows.append(
            (
                safe(format_bytes(cell.number("size") or 0)),
                count(cell.whole("clients")),
                "none" if good is None else f"{least}{format_rate(good)}",
                "–" if bad is None else format_rate(bad),
                safe(", ".join(cell.texts("reasons"))),
            )
        )
    return markdown_table(("Message", "Clients", "Good", "Bad", "Why"), rows) if rows else []


def _loads(result: Node) -> list[str]:
    rows = []
    for trial in result.nodes("trials"):
        spec = trial.node("spec")
        if spec.text("purpose") != "load":
            continue
        p99 = trial.node("latency").number("p99_s")
        clients = count_of(spec.whole("clients"), "client")
        rate = format_rate(spec.number("rate") or 0)
        burst = f", {spec.whole('burst')} at once" if spec.text("shape") == "burst" else ""
        rows.append(
            (
                safe(f"{rate} of {format_bytes(spec.number('size') or 0)} from {clients}{burst}"),
                safe(trial.text("outcome")),
                "–" if p99 is None else format_s(p99),
                safe(", ".join(trial.texts("reasons"))),
            )
        )
    return markdown_table(("Load", "", "p99", "Why"), rows) if rows else []


def _ledger(result: Node) -> list[str]:
    total = {name: number for name, number in sums(result).items() if number}
    if not total:
        return []
    judged = sum(total.values())
    rows = [(name, count(number), safe(percent(number / judged))) for name, number in total.items()]
    return markdown_table(("Ledger", "Messages", "Share"), rows)
