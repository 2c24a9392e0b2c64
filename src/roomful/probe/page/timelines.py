"""The course of the run: small charts over one clock, so that what happened together stands one above the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from roomful.probe.page import courses
from roomful.probe.page.charts import Band, Series, line_chart
from roomful.probe.page.courses import Line, bucketed
from roomful.probe.page.markup import Child, Markup, el
from roomful.probe.page.reading import Node
from roomful.probe.page.scales import Scale, linear, logarithmic
from roomful.probe.units import format_bytes, format_rate

__all__ = ("timelines",)

_LEAST_S: Final = 1e-5
_MIN_BAND_SHARE: Final = 0.002


@dataclass(frozen=True, slots=True)
class _Chart:
    """One chart before it is drawn: lines with their names, whether in powers, and the unit.

    A dull one, such as a queue that was always empty, is left out without a word.
    """

    title: str
    about: str
    lines: Sequence[tuple[str, Line]]
    unit: str
    log: bool = False
    filled: bool = False
    dull: bool = False


def timelines(result: Node) -> list[Child]:
    """Return the charts, as far as there is something to show, and a list of what there is not."""
    end = max(
        (t for trial in result.nodes("trials") if (t := trial.number("ended_at_s")) is not None),
        default=result.number("duration_s") or 0.0,
    )
    if end <= 0:
        return []
    x, bands = linear(0.0, end, "s", ticks=8), _bands(result, end)
    # The clock ends with the run and not at the next round number.
    x = Scale(0.0, end, tuple(tick for tick in x.ticks if tick <= end), unit="s")
    shown: list[Child] = []
    missing = []
    for chart in _charts(result, end):
        lines = [(name, line) for name, line in chart.lines if line]
        if chart.dull and not any(value for _, line in lines for _, value in line):
            continue
        if not lines:
            missing.append(chart.title.lower())
            continue
        values = [value for _, line in lines for _, value in line if value is not None]
        y = (
            logarithmic(values, chart.unit, floor=_LEAST_S if chart.unit == "s" else 0.1)
            if chart.log
            else linear(0.0, max(values), chart.unit)
        )
        series = [
            Series(name, line, pen, filled=chart.filled and pen == 1)
            for pen, (name, line) in enumerate(lines, 1)
        ]
        shown.append(line_chart(chart.title, chart.about, series, x=x, y=y, bands=bands))
    if missing:
        shown.append(el("p", f"Not seen in this run: {', '.join(missing)}.", class_="quiet"))
    return [_reading(bands), *shown]


def _reading(bands: list[Band]) -> Markup | None:
    if not bands:
        return None
    kinds = {band.kind for band in bands}
    names = {"bad": "a trial that was bad", "invalid": "one that says nothing about the server"}
    return el(
        "ul",
        [
            el("li", el("span", "", class_=f"swatch {kind}", aria_hidden="true"), names[kind])
            for kind in names
            if kind in kinds
        ],
        class_="legend",
    )


def _charts(result: Node, end: float) -> list[_Chart]:
    rows, sampled = courses.rows, courses.sampled
    echo = bucketed(rows(result, courses.ROW_MEDIAN, 1e-6), end)

    def lowest(name: str) -> Line:
        return bucketed(sampled(result, "tcp_info", name), end, min)

    return [
        _Chart(
            "Messages a second",
            "What the schedule asked for, and what came back to each receiver.",
            [
                ("due", bucketed(courses.rates(result, courses.ROW_DUE), end)),
                ("arrived", bucketed(courses.rates(result, courses.ROW_ARRIVED), end)),
            ],
            "1/s",
            log=True,
        ),
        _Chart(
            "Lag",
            "From the intended time of a message to its arrival, in powers of ten.",
            [
                ("slowest", bucketed(rows(result, courses.ROW_MAX, 1e-6), end)),
                ("median", echo),
            ],
            "s",
            log=True,
        ),
        _Chart(
            "Ping against echo",
            "A ping on a connection that carries nothing else, beside the messages of the busy ones: "
            "when both rise, the server's loop is held up; when only the echo does, messages queue.",
            [("echo, median", echo), ("ping", bucketed(courses.pings(result), end))],
            "s",
            log=True,
        ),
        _Chart(
            "Queues",
            "Bytes that wait: sent and not yet acknowledged, received and not yet read (both ends), "
            "and what the probe has no room to send.",
            [
                ("to be sent", bucketed(courses.socket(result, "send_queue"), end)),
                ("to be read", bucketed(courses.socket(result, "recv_queue"), end)),
                ("in the probe", bucketed(rows(result, courses.ROW_UNSENT), end)),
            ],
            "bytes",
        ),
        _Chart(
            "Window",
            "How much the server's receive buffer still takes: at 0 it holds the sender back, and nothing is lost.",
            [("smallest window of the server", lowest("snd_wnd"))],
            "bytes",
            filled=True,
        ),
        _Chart(
            "Waiting to be accepted",
            "Connections in the server's accept queue.",
            [("connections", bucketed(sampled(result, "accept_queue", "waiting"), end))],
            "",
            dull=True,
        ),
        _Chart(
            "CPU",
            "Share of one core: the busiest of the server's processes, how long it waited for a core, and the probe.",
            [
                ("server", bucketed(courses.cpu(result), end)),
                ("server waits", bucketed(courses.cpu(result, "run_delay_s"), end)),
                ("probe", bucketed(courses.generator_cpu(result), end)),
            ],
            "share",
        ),
        _Chart(
            "Memory",
            "Resident memory of the server's processes.",
            [("server", bucketed(courses.processes(result, "rss_bytes"), end))],
            "bytes",
            filled=True,
        ),
        _Chart(
            "Open descriptors",
            "Sockets and files of the server's processes.",
            [("descriptors", bucketed(courses.processes(result, "descriptors"), end))],
            "",
        ),
    ]


def _bands(result: Node, end: float) -> list[Band]:
    bands = []
    for trial in result.nodes("trials"):
        start, stop = trial.number("began_at_s"), trial.number("ended_at_s")
        outcome, spec = trial.text("outcome"), trial.node("spec")
        if start is None or stop is None or outcome not in ("bad", "invalid"):
            continue
        what = f"{format_bytes(spec.number('size') or 0)} × {spec.whole('clients')}"
        rate = format_rate(spec.number("rate") or 0)
        why = ", ".join(trial.texts("reasons"))
        text = f"trial {trial.whole('number')}, {spec.text('purpose')}, {what} at {rate}: {outcome}; {why}"
        bands.append(Band(start, max(stop, start + end * _MIN_BAND_SHARE), outcome, text))
    return bands
