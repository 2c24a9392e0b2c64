"""Evidence and rivals: why the verdict is what it is, and why it is nothing else."""

from __future__ import annotations

from roomful.probe.page.charts import Mark, key, plane
from roomful.probe.page.figures import ratio, value_of
from roomful.probe.page.headline import tone_of
from roomful.probe.page.markup import Child, Markup, el, join, prose, table
from roomful.probe.page.reading import Node
from roomful.probe.page.scales import Scale, linear
from roomful.probe.units import format_s

__all__ = ("chip", "evidence", "rivals")

_SIGNS = {
    True: ("✓", "as expected", "good"),
    False: ("✗", "not as expected", "bad"),
    None: ("?", "not seen", "warn"),
}


def chip(status: str, tone: str) -> Markup:
    """Return a status as a small label."""
    return el("span", status, class_=f"chip {tone}")


def evidence(diagnosis: Node) -> list[Child]:
    """Return what was seen for each finding, what it was compared with, and what would cure it."""
    parts: list[Child] = []
    for finding in diagnosis.nodes("findings"):
        status, tone = tone_of(finding.text("status"))
        symptom = finding.node("symptom").text("sentence")
        title = finding.text("title") or "No single cause"
        parts.append(el("h3", title, " ", chip(status, tone)))
        parts.append(el("p", prose(symptom), class_="lead"))
        seen = finding.nodes("evidence")
        if seen:
            parts.append(_seen(seen, f"What was seen: {title}"))
        if finding.text("cure"):
            parts.append(el("p", el("strong", "Cure. "), prose(finding.text("cure")), class_="cure"))
        if finding.node("intervention"):
            parts.append(_intervention(finding.node("intervention")))
    return parts


def rivals(diagnosis: Node) -> list[Child]:
    """Return the other causes of each finding's symptom, and what refuted them."""
    parts: list[Child] = []
    findings = [finding for finding in diagnosis.nodes("findings") if finding.nodes("rivals")]
    for finding in findings:
        if len(findings) > 1:
            title = finding.text("title") or finding.node("symptom").text("sentence")
            parts.append(el("h3", "Instead of: " if finding.text("cause") else "", title))
        parts.append(el("ul", [_rival(rival) for rival in finding.nodes("rivals")], class_="rivals"))
    return parts


def _rival(rival: Node) -> Markup:
    refuted = rival.text("state") == "refuted"
    title = rival.text("title") or rival.text("cause")
    seen = rival.nodes("evidence")
    return el(
        "li",
        el(
            "div",
            el("strong", el("s", title) if refuted else title),
            " ",
            chip("refuted" if refuted else "open", "quiet" if refuted else "warn"),
        ),
        el("p", prose(rival.text("because"))),
        el("details", el("summary", "What was looked at"), _seen(seen, f"What was looked at: {title}"))
        if seen
        else None,
    )


def _seen(seen: list[Node], label: str) -> Markup:
    rows: list[list[Child]] = []
    for each in seen:
        sign, word, tone = _SIGNS[each.flag("holds")]
        if each.flag("holds") is None and not each.text("expected"):
            sign, word, tone = "", "for comparison", "quiet"
        where = [each.text("source")]
        if (trial := each.number("trial")) is not None:
            where.append(f"trial {trial:.0f}")
        if (at_s := each.number("at_s")) is not None:
            where.append(f"at {format_s(at_s)}")
        mark = el("span", sign, class_=f"sign {tone}", role="img", aria_label=word, title=word)
        rows.append(
            [
                each.text("what"),
                value_of(each.get("value"), each.text("unit")),
                join(mark, " ", each.text("expected") or "for comparison"),
                el("span", ", ".join(filter(None, where)), class_="quiet"),
            ]
        )
    return table(
        el("span", label, class_="hidden"),
        ("What was seen", "Value", "Expected of this cause", "Where"),
        rows,
        label=label,
        numeric=frozenset({1}),
        class_="evidence",
    )


def _intervention(intervention: Node) -> Markup:
    """Return the rounds as marks in their order, A, B and the placebo apart."""
    knob, prediction = intervention.node("knob"), intervention.node("prediction")
    unit = prediction.text("unit")
    pens = {"A": "pen1", "B": "pen2", "placebo": "pen3"}
    names = {
        "A": f"A: {knob.text('name')}={knob.text('a')}",
        "B": f"B: {knob.text('name')}={knob.text('b')}",
        "placebo": f"placebo: {intervention.node('placebo').text('name')}",
    }
    rounds = intervention.nodes("rounds")
    marks = []
    for place, each in enumerate(rounds, 1):
        value, arm = each.number("value"), each.text("arm")
        if value is not None and arm in pens:
            text = f"round {place}, {each.text('setting')}: {value_of(value, unit)}"
            marks.append(Mark(place, value, pens[arm], text))
    outcome, tone = tone_of(intervention.text("outcome"))
    parts: list[Child] = [
        el("h4", "Intervention ", chip(outcome.removeprefix("cause "), tone)),
        el("p", el("strong", "Predicted before. "), prose(prediction.text("sentence"))),
    ]
    if marks:
        seen = {mark.kind for mark in marks}
        legend = el(
            "ul",
            [el("li", key("mark", pens[arm]), names[arm]) for arm in pens if pens[arm] in seen],
            class_="legend",
        )
        top = max(mark.y for mark in marks)
        told = "; ".join(mark.text for mark in marks)
        parts.append(
            plane(
                "Rounds, in their order",
                f"{prediction.text('measure').replace('_', ' ')}; each mark is one round with a server of its own.",
                marks,
                x=Scale(0.5, len(rounds) + 0.5, tuple(map(float, range(1, len(rounds) + 1)))),
                y=linear(0, top * 1.1, unit),
                legend=legend,
                told=told,
                height=150,
            )
        )
    moved = []
    for name, label in (("ratio", "B against A"), ("placebo_ratio", "the placebo against A")):
        if (found := intervention.number(name)) is not None:
            moved.append(f"{label}: {ratio(found)}")
    low, high = prediction.number("low"), prediction.number("high")
    if low is not None or high is not None:
        between = " to ".join("any" if bound is None else ratio(bound) for bound in (low, high))
        moved.append(f"predicted: {between}")
    parts.append(
        el("p", el("strong", "Seen. "), "; ".join(moved) + ". ", prose(intervention.text("because")))
    )
    return el("div", parts, class_="intervention")
