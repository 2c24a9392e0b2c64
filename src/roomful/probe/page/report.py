"""The page of one run: verdict first, then why, why nothing else, where, when, the ledger, and how it was measured."""

from __future__ import annotations

from roomful.probe.page.borders import borders
from roomful.probe.page.document import Section, cover, document
from roomful.probe.page.findings import evidence, rivals
from roomful.probe.page.headline import headline
from roomful.probe.page.ledger import ledger
from roomful.probe.page.markup import Child, el, join, table
from roomful.probe.page.method import method
from roomful.probe.page.reading import Node
from roomful.probe.page.timelines import timelines
from roomful.probe.units import format_s

__all__ = ("render",)


def render(result: object) -> str:
    """Return the page of a result, as HTML.

    The same result always gives the same page. What is missing in it is left out; no text of it becomes markup.

    Args:
        result: What `json.loads` made of a result of a schema that this version reads.
    """
    found = Node(result)
    first = headline(found)
    diagnosis = found.node("diagnosis")
    sections = [
        Section(
            "Evidence",
            "What was seen, and what the cause asks for. A cause is named only when its evidence is there.",
            [*evidence(diagnosis), _sentences(found)],
        ),
        Section(
            "Rivals",
            "Other causes of the same symptom, and what speaks against each. An open one keeps the verdict open.",
            rivals(diagnosis),
        ),
        Section(
            "Where it breaks",
            "The exact borders, and how many messages a second it takes. A rate is good when nothing was lost, "
            "nothing came late, nothing was closed, and the queue did not grow.",
            borders(found),
        ),
        Section(
            "Course of the run",
            "Everything over the same clock, in seconds from the start. Values are the worst of each stretch.",
            timelines(found),
        ),
        Section(
            "Ledger",
            "Every message was marked and followed. Each is counted once, by what became of it.",
            ledger(found),
        ),
        Section(
            "How it was measured",
            "What has to be known to trust these figures, or to get them again.",
            method(found),
        ),
    ]
    return document(
        f"{first.status}: {found.node('target').text('url') or 'probe'}",
        cover(
            _above(found),
            first.status,
            first.tone,
            first.sentence,
            more=first.more,
            parts=first.parts,
            figures=first.figures,
            below=_below(found),
        ),
        sections,
        footer=f"Made by roomful probe from a result of schema {found.text('schema') or 'unknown'}.",
    )


def _above(result: Node) -> Child:
    target, duration = result.node("target"), result.number("duration_s")
    began = result.text("started").replace("T", " ")[:16]
    rest = [
        target.text("mode"),
        f"{began} UTC" if began else "",
        f"measured for {format_s(duration)}" if duration else "",
    ]
    return [el("code", target.text("url") or "no address"), *(el("span", each) for each in rest if each)]


def _below(result: Node) -> list[Child]:
    """Return what must be known at once: a run that was stopped, what is inconclusive, thresholds."""
    below: list[Child] = []
    if result.flag("complete") is not True:
        why = result.text("stopped_by") or "it did not come to its end"
        below.append(
            el(
                "p",
                el("strong", "Partial. "),
                f"The run ended early ({why}); this is what was measured until then.",
                class_="notice",
            )
        )
    why_not = result.node("verdict").texts("inconclusive")
    if why_not:
        below.append(el("p", el("strong", "Inconclusive. "), "; ".join(why_not), ".", class_="notice"))
    thresholds = result.nodes("thresholds")
    if thresholds:
        below.append(el("div", _thresholds(thresholds), class_="thresholds"))
    return below


def _thresholds(thresholds: list[Node]) -> Child:
    words = {True: ("breached", "bad"), False: ("kept", "good"), None: ("not decided", "warn")}
    rows: list[list[Child]] = []
    for each in thresholds:
        word, tone = words[each.flag("breached")]
        value = each.number("value")
        rows.append(
            [
                el("code", each.text("text")),
                "not measured" if value is None else f"{value:,.6g}",
                el("span", word, class_=f"chip {tone}"),
            ]
        )
    return table(
        el("span", "Thresholds: the run fails if", class_="quiet"),
        ("Fails if", "Measured", ""),
        rows,
        label="Thresholds",
        numeric=frozenset({1}),
    )


def _sentences(result: Node) -> Child:
    """Return what was found, as the terminal says it."""
    sentences = result.node("verdict").texts("sentences")
    if not sentences:
        return None
    return join(
        el("h3", "In words"), el("ul", [el("li", sentence) for sentence in sentences], class_="words")
    )
