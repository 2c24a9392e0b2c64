"""A comparison as text, Markdown and HTML: what differs first, then all measures with their intervals."""

from __future__ import annotations

from typing import Final

from roomful.probe.compare import ENOUGH_RUNS, LATENCY_NOISE, RATE_NOISE, Change, Comparison, Interval, Row
from roomful.probe.page.document import Section, cover, document
from roomful.probe.page.figures import count_of, percent, ratio, value_of
from roomful.probe.page.headline import Figure
from roomful.probe.page.markup import Child, Markup, el, table
from roomful.probe.page.scales import Scale
from roomful.probe.page.summary import markdown_table, safe

__all__ = ("comparison_html", "comparison_markdown", "comparison_text")

_TONES: Final = {Change.BETTER: "good", Change.WORSE: "bad", Change.SAME: "quiet"}
_SIGNS: Final = {Change.BETTER: "✅ better", Change.WORSE: "❌ worse", Change.SAME: "within the noise"}
_MOST_FIGURES: Final = 4
_WIDEST: Final = 10.0


def _method(comparison: Comparison) -> str:
    runs = " and ".join(count_of(number, "run") for number in comparison.runs)
    text = (
        f"Intervals come from repeats ({runs}). A rate lies between the highest below which no trial was bad and "
        f"the lowest above which none was good; a share has its {percent(0.99)} interval. "
        "A difference is claimed only when the two intervals lie apart. "
    )
    if min(comparison.runs) < ENOUGH_RUNS:
        text += (
            f"With fewer than {ENOUGH_RUNS} runs of a side nothing tells how much its runs differ among themselves, "
            f"so rates are widened by {percent(RATE_NOISE - 1)} and latencies by a factor of {LATENCY_NOISE:g}."
        )
    else:
        text += "The intervals of all runs of a side are united."
    return text


def _value(interval: Interval, unit: str) -> str:
    if interval.value is None:
        return "none"
    least = "≥ " if interval.high is None else ""
    return least + value_of(interval.value, unit)


def _range(interval: Interval, unit: str) -> str:
    if interval.high is None:
        return f"{value_of(interval.low, unit)} or more"
    return f"{value_of(interval.low, unit)} to {value_of(interval.high, unit)}"


def _ratio(row: Row) -> str:
    if row.ratio is None or (row.a.high is None and row.b.high is None):
        return "–"
    sign = "≤ " if row.a.high is None else "≥ " if row.b.high is None else ""
    return sign + ratio(row.ratio)


def _ordered(comparison: Comparison) -> list[Row]:
    """Return what differs first, the worse before the better."""
    return [
        *comparison.worse,
        *comparison.better,
        *(row for row in comparison.rows if row.change is Change.SAME),
    ]


def comparison_text(comparison: Comparison) -> str:
    """Return the comparison for a terminal."""
    lines = [f"A: {comparison.a}", f"B: {comparison.b}", comparison.sentence]
    for row in _ordered(comparison):
        times = f" ({_ratio(row)})" if row.change is not Change.SAME and row.ratio is not None else ""
        lines.append(
            f"  {row.change.value:<16}  {row.what}, {row.measure}: "
            f"{_value(row.a, row.unit)} → {_value(row.b, row.unit)}{times}"
        )
    lines += [f"  note: {note}" for note in comparison.notes]
    return "\n".join([*lines, _method(comparison)])


def comparison_markdown(comparison: Comparison) -> str:
    """Return the comparison as Markdown."""
    sign = "❌" if comparison.worse else "✅" if comparison.rows else "⚠️"
    lines = [
        f"## {sign} {safe(comparison.sentence)}",
        "",
        f"A: {safe(comparison.a)}  ",
        f"B: {safe(comparison.b)}",
        "",
    ]
    lines += markdown_table(
        ("Of", "Measure", "A", "B", "B / A", ""),
        [
            (
                safe(row.what),
                safe(row.measure),
                safe(_value(row.a, row.unit)),
                safe(_value(row.b, row.unit)),
                _ratio(row),
                _SIGNS[row.change],
            )
            for row in _ordered(comparison)
        ],
    )
    lines += [f"- {safe(note)}" for note in comparison.notes]
    lines += ["", f"<sub>{safe(_method(comparison)[:390])}</sub>"]
    return "\n".join(lines) + "\n"


def comparison_html(comparison: Comparison) -> str:
    """Return the comparison as a page."""
    tone = "bad" if comparison.worse else "good" if comparison.rows else "warn"
    status = "worse" if comparison.worse else "better" if comparison.better else "no difference"
    if not comparison.rows:
        status = "nothing in common"
    ordered = _ordered(comparison)
    figures = [
        Figure(
            _ratio(row) if row.ratio else _value(row.b, row.unit), f"{row.measure}, {row.what}: B against A"
        )
        for row in ordered
        if row.change is not Change.SAME
    ]
    sections = [
        Section(
            "Measures",
            "Each with both intervals, A above B. Where they overlap nothing is claimed.",
            [_table(ordered)] if ordered else [],
        ),
        Section("Notes", "What limits this comparison.", [_notes(comparison)] if comparison.notes else []),
        Section("How it was compared", "What stands behind an interval.", [el("p", _method(comparison))]),
    ]
    above = [el("span", "A ", el("code", comparison.a)), el("span", "B ", el("code", comparison.b))]
    return document(
        f"{status}: {comparison.sentence}",
        cover(above, status, tone, comparison.sentence, figures=figures[:_MOST_FIGURES]),
        sections,
        footer="Made by roomful probe compare.",
    )


def _notes(comparison: Comparison) -> Markup:
    return el("ul", [el("li", note) for note in comparison.notes], class_="words")


def _table(rows: list[Row]) -> Markup:
    cells: list[list[Child]] = [
        [
            el("div", row.what, el("small", row.measure, class_="quiet below")),
            el("span", row.change.value, class_=f"chip {_TONES[row.change]}"),
            el("div", _value(row.a, row.unit), el("small", _range(row.a, row.unit), class_="quiet below")),
            el("div", _value(row.b, row.unit), el("small", _range(row.b, row.unit), class_="quiet below")),
            _drawn(row),
        ]
        for row in rows
    ]
    return table(
        "Values with their intervals; the drawing shows both as multiples of A, in powers.",
        ("Of", "B is", "A", "B", "A above B"),
        cells,
        label="All measures",
        class_="measures",
    )


def _drawn(row: Row) -> Child:
    """Draw both intervals as multiples of A's value."""
    if not row.a.value:
        return None
    scale = Scale(1 / _WIDEST, _WIDEST, (1.0,), log=True)

    def across(value: float | None) -> str:
        # What nothing bounds goes to the end.
        return f"{(1.0 if value is None else scale.at(value / (row.a.value or 1.0))) * 100:.1f}%"

    parts = [el("line", x1="50%", x2="50%", y1=0, y2=28, class_="rule")]
    for interval, y, pen in ((row.a, 9, 1), (row.b, 19, 2)):
        ends = (across(interval.low), across(interval.high))
        parts.append(el("line", x1=ends[0], x2=ends[1], y1=y, y2=y, class_=f"span pen{pen}"))
        if interval.value is not None:
            parts.append(el("circle", cx=across(interval.value), cy=y, r=3.5, class_=f"mark pen{pen}"))
    told = f"A {_range(row.a, row.unit)}, B {_range(row.b, row.unit)}"
    return el("svg", parts, class_="spans", height=28, role="img", aria_label=told)
