"""The page of `roomful probe buffers`: what a receiver that does not read does to its sender, drawn over time."""

from __future__ import annotations

from typing import Final

from roomful.probe.page.charts import Series, line_chart
from roomful.probe.page.document import Section, cover, document
from roomful.probe.page.figures import count
from roomful.probe.page.headline import Figure
from roomful.probe.page.markup import Child, Markup, el, join, table
from roomful.probe.page.reading import Node
from roomful.probe.page.scales import Scale, linear
from roomful.probe.page.summary import markdown_table, safe
from roomful.probe.units import format_bytes, format_s

__all__ = ("BUFFERS_SCHEMA", "buffer_charts", "buffer_verdict", "render_buffers", "summarise_buffers")

BUFFERS_SCHEMA: Final = "roomful.probe.buffers/1"
_DOUBTS: Final = ("lost", "corrupted", "reordered", "duplicate", "in doubt")


def render_buffers(result: object) -> str:
    """Return the page of the experiment, as HTML; pure, and safe against any text of the result."""
    found = Node(result)
    status, tone, sentence, figures = buffer_verdict(found)
    sections = [
        Section(
            "What happened",
            "A sender writes to a receiver that does not read, until the kernel takes no more; then it reads on.",
            buffer_charts(found),
        ),
        Section(
            "Limits of this machine", "What the kernel allows, in bytes.", [_limits(found.node("limits"))]
        ),
    ]
    return document(
        "What a full receive buffer does",
        cover("What a full TCP receive buffer does", status, tone, sentence, figures=figures),
        sections,
        footer=f"Made by roomful probe from a result of schema {BUFFERS_SCHEMA}.",
    )


def buffer_verdict(result: Node) -> tuple[str, str, str, list[Figure]]:
    """Return status, tone, sentence and figures."""
    runs, server = result.nodes("runs"), result.node("server")
    broken = [run for run in runs if run.flag("intact") is not True]
    doubts = sum(server.node("counts").whole(name) for name in _DOUBTS)
    figures = [
        Figure(format_bytes(taken), f"taken by the kernel before the sender had to wait: {run.text('title')}")
        for run in runs
        if (taken := run.number("taken")) is not None
    ][:3]
    if server:
        delivered = server.node("counts").whole("delivered")
        figures.append(
            Figure(
                f"{delivered} of {server.whole('messages')}",
                "messages came through FastAPI, in order, once it read on",
            )
        )
    tone = "bad" if broken or doubts else "good"
    return ("something was lost" if tone == "bad" else "nothing lost"), tone, result.text("answer"), figures


def buffer_charts(result: Node) -> list[Child]:
    """Return a chart for each filling, and one for the server."""
    parts: list[Child] = []
    for run in result.nodes("runs"):
        parts += _run(run)
    server = result.node("server")
    if server:
        parts += _server(server)
    elif result.text("server_left_out"):
        parts.append(el("p", result.text("server_left_out"), class_="quiet"))
    return parts


def _run(run: Node) -> list[Child]:
    samples = run.nodes("samples")
    title = run.text("title")
    end = max((at for each in samples if (at := each.number("t_s")) is not None), default=0.0)
    if end <= 0:
        return []
    names = {
        "snd_wnd": "window",
        "receive_queue": "received, not read",
        "notsent_bytes": "waits in the sender's kernel",
    }
    series = [Series(label, _line(samples, name), pen) for pen, (name, label) in enumerate(names.items(), 1)]
    top = max((value for each in series for _, value in each.points if value is not None), default=1.0)
    same = "the same bytes in the same order" if run.flag("intact") else "not what was sent"
    waited = run.number("waited_s")
    words = (
        f"The kernel took {format_bytes(run.number('taken') or 0)}, then the sender waited"
        + (f" {format_s(waited)}" if waited else "")
        + f". After the receiver read on, {count(run.number('received'))} of {count(run.number('sent'))} bytes came: "
        f"{same}."
    )
    counters = [f"{name.partition('.')[2]} +{value}" for name, value in run.node("counters").pairs()]
    rose = f" Kernel counters that rose meanwhile: {', '.join(counters) or 'none'}."
    return [
        line_chart(
            title[:1].upper() + title[1:], words + rose, series, x=_clock(end), y=linear(0.0, top, "bytes")
        ),
    ]


def _server(server: Node) -> list[Child]:
    samples = server.nodes("samples")
    end = max((at for each in samples if (at := each.number("t_s")) is not None), default=0.0)
    counts = server.node("counts")
    rows: list[list[Child]] = [
        [name, count(counts.whole(name))] for name, _ in counts.pairs() if counts.whole(name)
    ]
    parts: list[Child] = []
    if end > 0:
        series = [
            Series("handed over", _line(samples, "offered"), 1),
            Series("came back", _line(samples, "arrived"), 2),
        ]
        about = (
            f"{server.whole('messages')} messages of {format_bytes(server.number('size') or 0)} for a program that "
            f"does not read for {format_s(server.number('pause_s') or 0)}: "
            f"{count(server.number('offered_while_unread'))} were handed over meanwhile, the others had to wait."
        )
        parts.append(
            line_chart(
                "The same through FastAPI",
                about,
                series,
                x=_clock(end),
                y=linear(0.0, server.whole("messages")),
            )
        )
    parts.append(
        table(
            "What became of the messages.",
            ("Verdict", "Messages"),
            rows,
            label="Messages",
            numeric=frozenset({1}),
        )
    )
    return parts


def _line(samples: list[Node], name: str) -> list[tuple[float, float | None]]:
    return [(at, each.number(name)) for each in samples if (at := each.number("t_s")) is not None]


def _clock(end: float) -> Scale:
    ticks = linear(0.0, end, "s", ticks=6).ticks
    return Scale(0.0, end, tuple(tick for tick in ticks if tick <= end), unit="s")


def _limits(limits: Node) -> Markup:
    meanings = {
        "rmem_max": ("net.core.rmem_max", "bounds only what a program asks for with SO_RCVBUF"),
        "wmem_max": ("net.core.wmem_max", "the same for SO_SNDBUF"),
        "tcp_rmem": ("net.ipv4.tcp_rmem", "least, start and most of what the kernel tunes by itself"),
        "tcp_wmem": ("net.ipv4.tcp_wmem", "the same for sending"),
        "moderate": ("net.ipv4.tcp_moderate_rcvbuf", "whether it tunes"),
    }
    rows: list[list[Child]] = []
    for name, (sysctl, meaning) in meanings.items():
        value = limits.get(name)
        if isinstance(value, bool):
            shown = "1" if value else "0"
        else:
            numbers = limits.numbers(name) if isinstance(value, list) else [limits.number(name)]
            shown = " ".join("unknown" if each is None else f"{each:,.0f}" for each in numbers)
        rows.append([el("code", sysctl), shown, join(meaning)])
    return table("Settings of the kernel.", ("Name", "Value", "What it bounds"), rows, label="Limits")


def summarise_buffers(result: object) -> str:
    """Return the experiment as Markdown."""
    found = Node(result)
    _, tone, sentence, figures = buffer_verdict(found)
    lines = [f"## {'✅' if tone == 'good' else '❌'} {safe(sentence)}", ""]
    lines += markdown_table(("", ""), [(f"**{safe(each.value)}**", safe(each.label)) for each in figures])
    return "\n".join(lines) + "\n"
