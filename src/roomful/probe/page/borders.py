"""Where it breaks: the exact borders, a heatmap of rates, and every trial in a plane of size and rate."""

from __future__ import annotations

import math
from collections import defaultdict

from roomful.probe.page.charts import Mark, key, plane
from roomful.probe.page.figures import count_of, percent
from roomful.probe.page.markup import Child, Markup, el, table
from roomful.probe.page.reading import Node
from roomful.probe.page.scales import Scale, logarithmic
from roomful.probe.units import format_bytes, format_rate, format_s

__all__ = ("borders",)

_LIMITS = {
    "generator": "the probe itself could do no more",
    "ceiling": "no more was tried",
    "time": "time ran out",
    "machine": "the machine was too busy to say more",
    "trials": "the trials said no more",
}
_EMPTY = {
    "invalid": "no trial said anything",
    "none": "no rate is good",
}
_WORST = ("bad", "invalid", "good")


def borders(result: Node) -> list[Child]:
    """Return all of it; nothing where nothing was searched and nothing loaded."""
    return [
        _cliffs(result.nodes("cliffs")),
        _cells(result.nodes("cells")),
        _loads(result),
        *_trial_planes(result),
    ]


def _cliffs(cliffs: list[Node]) -> Markup | None:
    shown = []
    for cliff in cliffs:
        size = cliff.text("dimension") == "size"
        good, bad = cliff.number("good"), cliff.number("bad")
        unit, given_up = cliff.text("unit"), cliff.flag("given_up") is True

        def text(value: float | None, *, size: bool = size, unit: str = unit) -> str:
            if value is None:
                return "none"
            return f"{value:,.0f} {unit}" + (f" ({format_bytes(value)})" if size and value >= 1024 else "")

        name = "Largest message" if size else "Most messages at once"
        reasons = cliff.texts("reasons")
        code = cliff.number("close_code")
        if code is not None:
            reasons = [f"closed with {code:.0f} {cliff.text('close_reason')}".rstrip(), *reasons]
        ends: list[Child] = [
            el("p", el("span", "passes", class_="chip good"), " ", el("b", text(good))),
        ]
        if bad is None:
            if not given_up:
                ends.append(el("p", "No larger one was tried.", class_="quiet"))
        else:
            ends.append(el("p", el("span", "fails", class_="chip bad"), " ", el("b", text(bad))))
            ends.append(el("p", "; ".join(reasons), class_="quiet"))
            if bad - (good or 0) > 1:
                ends.append(el("p", "The border lies between the two.", class_="quiet"))
            elif good is not None and cliff.flag("exact") is not True:
                ends.append(el("p", "Nobody confirmed it.", class_="quiet"))
        if given_up:
            ends.append(el("p", "The trials said no more.", class_="quiet"))
        shown.append(el("div", el("h3", name), ends, class_="border"))
    return el("div", shown, class_="borders") if shown else None


def _cells(cells: list[Node]) -> Markup | None:
    """Return the highest good rates: sizes down, clients across, the deeper the colour the higher."""
    if not cells:
        return None
    sizes = sorted({cell.number("size") or 0 for cell in cells})
    clients = sorted({cell.whole("clients") for cell in cells})
    by_place = {(cell.number("size") or 0, cell.whole("clients")): cell for cell in cells}
    known = [rate for cell in cells if (rate := cell.number("good_rate"))]
    low, high = min(known, default=1.0), max(known, default=1.0)

    def shown(size: float, number: int) -> Child:
        cell = by_place.get((size, number))
        if cell is None:
            return el("span", "not tried", class_="quiet")
        rate, bad, kind = cell.number("good_rate"), cell.number("bad_rate"), cell.text("kind")
        why = ", ".join(cell.texts("reasons"))
        limit = _LIMITS.get(cell.text("limited_by"))
        if rate is None:
            empty = _EMPTY.get(kind)
            below = "; ".join(filter(None, (limit if empty else None, why)))
            return el(
                "div", el("b", empty or limit or "time ran out"), el("small", below), class_="heat none"
            )
        place = 0.5 if high <= low else math.log(rate / low) / math.log(high / low)
        below = limit or "no more was tried"
        if bad is not None:
            below = f"not {format_rate(bad)}: {why}"
        least = "≥ " if kind in ("at_least", "open") and bad is None else ""
        return el(
            "div",
            el("b", f"{least}{format_rate(rate)}"),
            el("small", below),
            class_="heat breaks" if bad is not None else "heat",
            style=f"--heat:{8 + 30 * place:.0f}%",
        )

    return table(
        "Highest good rate, in messages a second over all clients. The deeper the colour, the higher; "
        "a red edge marks where something broke.",
        ("Message", *(count_of(each, "client") for each in clients)),
        [[format_bytes(size), *(shown(size, each) for each in clients)] for size in sizes],
        label="Highest good rate by size and clients",
        class_="heatmap",
    )


def _loads(result: Node) -> Markup | None:
    """Return loads that were asked for: sizes down, rates (or bursts) across."""
    loads = [trial for trial in result.nodes("trials") if trial.node("spec").text("purpose") == "load"]
    if not loads:
        return None

    def across(trial: Node) -> tuple[float, int, int]:
        spec = trial.node("spec")
        return (spec.number("rate") or 0.0, spec.whole("burst"), spec.whole("clients"))

    columns = sorted({across(trial) for trial in loads})
    sizes = sorted({trial.node("spec").number("size") or 0 for trial in loads})
    by_place: defaultdict[tuple[float, tuple[float, int, int]], list[Node]] = defaultdict(list)
    for trial in loads:
        by_place[trial.node("spec").number("size") or 0, across(trial)].append(trial)

    def title(column: tuple[float, int, int]) -> str:
        rate, burst, clients = column
        many = f"{burst} at once, {format_rate(rate)}" if burst > 1 else format_rate(rate)
        return f"{many}, {count_of(clients, 'client')}"

    def shown(size: float, column: tuple[float, int, int]) -> Child:
        found = by_place.get((size, column))
        if not found:
            return el("span", "not tried", class_="quiet")
        worst = min(found, key=lambda trial: _WORST.index(trial.text("outcome", "invalid")))
        p99 = worst.node("latency").number("p99_s")
        owed = max(worst.whole("owed"), 1)
        bad = sum(worst.node("counts").whole(name) for name in ("lost", "late", "not offered")) / owed
        outcome = worst.text("outcome")
        reasons = ", ".join(worst.texts("reasons")) or f"{worst.whole('arrived'):,} arrived, nothing bad"
        first = f"{percent(bad)} bad" if bad else "nothing came" if p99 is None else f"p99 {format_s(p99)}"
        return el("div", el("b", first), el("small", reasons), class_=f"heat load {outcome}")

    return table(
        "Every load that was asked for: green is good, red is bad, grey says nothing about the server.",
        ("Message", *map(title, columns)),
        [[format_bytes(size), *(shown(size, column) for column in columns)] for size in sizes],
        label="Loads by size and rate",
        class_="heatmap",
    )


def _trial_planes(result: Node) -> list[Markup]:
    """Return a plane of size and rate for each number of clients, with all trials of the search."""
    marks: defaultdict[int, list[Mark]] = defaultdict(list)
    for trial in result.nodes("trials"):
        spec = trial.node("spec")
        size, rate, outcome = spec.number("size"), spec.number("rate"), trial.text("outcome")
        if spec.text("purpose") != "rate" or not size or not rate or outcome not in _WORST:
            continue
        why = ", ".join(trial.texts("reasons")) or "nothing bad"
        text = f"trial {trial.whole('number')}: {format_rate(rate)} of {format_bytes(size)}: {outcome}; {why}"
        marks[spec.whole("clients")].append(Mark(size, rate, outcome, text))
    everything = [mark for each in marks.values() for mark in each]
    if not everything:
        return []
    x = _sizes([mark.x for mark in everything])
    y = logarithmic([mark.y for mark in everything], "1/s", floor=0.1)
    words = {"good": "good", "bad": "bad", "invalid": "says nothing"}
    legend = el("ul", [el("li", key("mark", kind), word) for kind, word in words.items()], class_="legend")
    planes = []
    for clients, found in sorted(marks.items()):
        told = ", ".join(f"{sum(mark.kind == kind for mark in found)} {word}" for kind, word in words.items())
        planes.append(
            plane(
                f"Every trial with {count_of(clients, 'client')}",
                "Size of a message across, messages a second up, both in powers.",
                sorted(found, key=lambda mark: ("good", "invalid", "bad").index(mark.kind)),
                x=x,
                y=y,
                legend=legend,
                told=told,
            )
        )
    return [el("div", planes, class_="pair")]


def _sizes(values: list[float]) -> Scale:
    """Return a scale in powers of two, with room at both ends."""
    sizes = sorted(set(values))
    low, high = sizes[0] / 2, sizes[-1] * 2
    return Scale(low, high, tuple(sizes), log=True, unit="bytes")
