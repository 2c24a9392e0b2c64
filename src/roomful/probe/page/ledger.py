"""The ledger: what became of every message, in sum and trial by trial."""

from __future__ import annotations

from typing import Final

from roomful.probe.page.figures import count, percent
from roomful.probe.page.markup import Child, Markup, el, table
from roomful.probe.page.reading import Node
from roomful.probe.units import format_bytes, format_rate, format_s

__all__ = ("VERDICTS", "ledger", "sums")

VERDICTS: Final = {
    "delivered": "came once, whole, in order and in time",
    "late": "came after the deadline",
    "lost": "did not come, although a later one of the same sender did",
    "told": "was lost, and the server said so",
    "in doubt": "the kernel took it, then the connection ended or nothing more came: nobody can know",
    "not offered": "was due, and the socket took no more: the sender was held back",
    "reordered": "came after one that was sent later",
    "duplicate": "came again",
    "corrupted": "came with other bytes",
    "phantom": "came, and nobody had sent it",
    "mistold": "came, although the server had said that it would not",
}
_TONES: Final = {
    "delivered": "good",
    "late": "warn",
    "in doubt": "warn",
    "not offered": "warn",
    "told": "warn",
}
_HEADS: Final = ("Trial", "What", "Load", "Outcome", "Owed", "delivered")


def sums(result: Node) -> dict[str, int]:
    """Return how many messages got each verdict in all trials."""
    trials = result.nodes("trials")
    return {name: sum(trial.node("counts").whole(name) for trial in trials) for name in VERDICTS}


def ledger(result: Node) -> list[Child]:
    """Return sums, and a table of all trials; nothing when there was none."""
    trials = result.nodes("trials")
    if not trials:
        return []
    total = sums(result)
    return [_sums(total), _trials(trials, total), _examples(trials)]


def _sums(total: dict[str, int]) -> Markup:
    judged = max(sum(total.values()), 1)
    bar = [
        el(
            "span",
            "",
            class_=_TONES.get(name, "bad"),
            style=f"--share:{number / judged:.6f}",
            title=f"{name}: {number:,}",
        )
        for name, number in total.items()
        if number
    ]
    entries = [
        el(
            "div",
            el("dt", el("span", "", class_=f"swatch {_TONES.get(name, 'bad')}", aria_hidden="true"), name),
            el("dd", el("b", count(number)), " ", percent(number / judged)),
            el("dd", meaning, class_="quiet"),
        )
        for name, meaning in VERDICTS.items()
        if (number := total[name])
    ]
    never = [name for name, number in total.items() if not number]
    return el(
        "div",
        el("div", bar, class_="bar", aria_hidden="true"),
        el("dl", entries, class_="sums"),
        el("p", f"No message was {_listed(never)}.", class_="quiet") if never else None,
    )


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def _trials(trials: list[Node], total: dict[str, int]) -> Markup:
    """Return a row for each trial; of the verdicts only those that some message got."""
    verdicts = [name for name in VERDICTS if name != "delivered" and total[name]]
    head = (*_HEADS, *verdicts, "Closes", "p50", "p99", "Generator late, p99")
    rows: list[list[Child]] = []
    for trial in trials:
        spec, counts, latency = trial.node("spec"), trial.node("counts"), trial.node("latency")
        outcome = trial.text("outcome")
        late = trial.node("generator").number("late_p99_s")
        rows.append(
            [
                str(trial.whole("number")),
                f"{format_bytes(spec.number('size') or 0)} × {spec.whole('clients')}",
                _load(spec),
                el(
                    "span",
                    outcome,
                    class_=f"word {outcome if outcome in ('good', 'bad') else 'warn'}",
                    title="; ".join(trial.texts("reasons")) or None,
                ),
                count(trial.whole("owed")),
                count(counts.whole("delivered")),
                *(
                    count(counts.whole(name)) if counts.whole(name) else el("span", "0", class_="zero")
                    for name in verdicts
                ),
                count(len(trial.items("closes"))),
                *(_time(latency.number(name)) for name in ("p50_s", "p99_s")),
                _time(late),
            ]
        )
    inside = table(
        f"All {len(trials)} trials in their order; the reasons stand under the pointer, at the outcome.",
        head,
        rows,
        label="The ledger of every trial",
        numeric=frozenset({0, *range(4, len(head))}),
        class_="ledger",
    )
    return el("details", el("summary", f"All {len(trials)} trials"), inside, open=len(trials) <= 12)


def _load(spec: Node) -> str:
    purpose = spec.text("purpose")
    shape, burst = spec.text("shape"), spec.whole("burst")
    if shape == "burst":
        return f"{purpose}: {burst:,} at once"
    if shape == "window":
        return f"{purpose}: {burst:,} under way"
    return f"{purpose}: {format_rate(spec.number('rate') or 0)}"


def _time(seconds: float | None) -> str:
    return "–" if seconds is None else format_s(seconds)


def _examples(trials: list[Node]) -> Markup | None:
    """Return the first messages that something befell, by trial."""
    lines = []
    for trial in trials:
        for name, _ in trial.node("examples").pairs():
            runs = trial.node("examples").texts(name)
            if runs and name != "delivered":
                lines.append(el("li", f"trial {trial.whole('number')}, {name}: {'; '.join(runs)}"))
    if not lines:
        return None
    return el(
        "details",
        el("summary", "Which messages"),
        el("p", "The first of each trial, as sender in receiver: first to last number.", class_="quiet"),
        el("ul", lines[:200], class_="mono"),
    )
