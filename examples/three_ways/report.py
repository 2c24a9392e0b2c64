"""The report of the experiment, from its figures: what is lost at which size and number, why, and what follows.

Pure: the JSON that `experiment` made in, HTML or Markdown out.
"""

from __future__ import annotations

from typing import Final

from roomful.probe.page.buffers import buffer_charts, buffer_verdict
from roomful.probe.page.document import Section, cover, document
from roomful.probe.page.figures import count, count_of, percent
from roomful.probe.page.headline import Figure
from roomful.probe.page.markup import Child, Markup, el, table
from roomful.probe.page.method import machine
from roomful.probe.page.reading import Node
from roomful.probe.page.summary import markdown_table, safe
from roomful.probe.units import format_bytes, format_rate, format_s

__all__ = ("html", "markdown")

_TITLE: Final = "Images over WebSockets: FastAPI, Channels and Roomful"
_GONE: Final = ("lost", "told", "in doubt")


def html(figures: object) -> str:
    """Return the report as a page."""
    found = Node(figures)
    servers = [server for server in found.nodes("servers") if "left_out" not in server]
    _, _, answer, _ = buffer_verdict(found.node("buffers"))
    sections = [
        Section(
            "In short",
            "The same program, served five ways: whatever one client sends, every client gets.",
            [_overview(servers)],
        ),
        Section(
            "Size and number",
            f"So many JPEGs of such a size are sent at once, spread over {found.whole('clients')} clients, and each "
            "client gets all of them. Red: some did not come.",
            [part for server in servers for part in _bursts(found, server)],
        ),
        Section(
            "What overflows",
            "Where something was lost or closed, what was full, and how that is known.",
            [el("ul", [el("li", line) for line in _causes(found, servers)], class_="words")],
        ),
        Section(
            "Highest rates",
            "Images a second, by size × clients, at which nothing is lost, nothing is late and no queue grows.",
            [_rates(servers)],
        ),
        Section(
            "A full receive buffer",
            "A sender writes to a receiver that does not read, until the kernel takes no more; then it reads on.",
            [el("p", answer, class_="lead"), *buffer_charts(found.node("buffers"))],
        ),
        Section("How it was measured", "What has to be known to trust these figures.", _method(found)),
    ]
    sentence, tone = _verdict(servers)
    status = "images are lost" if tone == "bad" else "nothing was lost"
    return document(
        _TITLE,
        cover(_TITLE, status, tone, sentence, more=_closers(servers), figures=_figures(found, servers)),
        sections,
        footer="Made by make probe-seed.",
    )


def markdown(figures: object) -> str:
    """Return the report as Markdown."""
    found = Node(figures)
    servers = [server for server in found.nodes("servers") if "left_out" not in server]
    sentence, _ = _verdict(servers)
    lines = [f"# {_TITLE}", "", f"**{safe(sentence)}**", ""]
    lines += [safe(_closers(servers)), ""] if _closers(servers) else []
    lines += markdown_table(
        ("Served by", "Lost of all images", "CPU of a delivery", "Two processes reach", "Lines"),
        [
            (
                safe(server.text("title")),
                _lost_words(server),
                safe(", ".join(_costs(server))),
                safe(_shared(server)),
                count(server.whole("lines")),
            )
            for server in servers
        ],
    )
    lines += ["## Size and number", ""]
    for server in servers:
        sizes, numbers = _axes(found)
        lines += [f"{safe(server.text('title'))}, images at once:", ""]
        rows = [
            (format_bytes(size), *(safe(_cell(server, size, number)[0]) for number in numbers))
            for size in sizes
        ]
        lines += markdown_table(("Image", *map(count, numbers)), rows)
    lines += ["## What overflows", "", *(f"- {safe_long(line)}" for line in _causes(found, servers)), ""]
    _, _, answer, _ = buffer_verdict(found.node("buffers"))
    lines += ["## A full receive buffer", "", safe(answer), ""]
    facts = "; ".join(f"{name}: {value}" for name, value in machine(found.node("machine")))
    lines.append(f"<sub>{safe(facts)}</sub>")
    return "\n".join(lines) + "\n"


def safe_long(text: str) -> str:
    """Return a text of several sentences for Markdown."""
    return " ".join(safe(sentence) for sentence in text.split("\n"))


def _axes(found: Node) -> tuple[list[float], list[float]]:
    plan = found.node("plan")
    return plan.numbers("sizes"), plan.numbers("numbers")


def _loads(server: Node) -> list[Node]:
    return [load for load in server.nodes("bursts") if "failure" not in load]


def _gone(load: Node) -> int:
    return sum(load.node("counts").whole(name) for name in _GONE)


def _lost(server: Node) -> tuple[int, int]:
    """Return how many images were lost on connections that stayed open, and how many were owed."""
    loads = _loads(server)
    return sum(load.node("counts").whole("lost") for load in loads), sum(load.whole("owed") for load in loads)


def _lost_words(server: Node) -> str:
    lost, owed = _lost(server)
    return f"{lost:,} of {owed:,}"


def _family(server: Node) -> str:
    return server.text("title").partition(":")[0]


def _verdict(servers: list[Node]) -> tuple[str, str]:
    """Return the sentence that the figures carry, and its tone."""
    losing = [load for server in servers for load in _loads(server) if load.node("counts").whole("lost")]
    if not servers:
        return "No server could be measured.", "warn"
    if not losing:
        return "No image was lost: overload holds the sender back.", "good"
    names = sorted({_family(server) for server in servers if _lost(server)[0]})
    keepers = sorted({_family(server) for server in servers} - set(names))
    first = min(load.whole("number") for load in losing)
    sizes = {load.number("size") for load in losing if load.whole("number") == first}
    whatever = ", whatever their size" if len(sizes) > 1 else ""
    rest = f"; {_and(keepers)} {_verb(keepers)} none so" if keepers else ""
    return f"{_and(names)} {_verb(names)} images in silence from {first} at once on{whatever}{rest}.", "bad"


def _closers(servers: list[Node]) -> str:
    """Return which servers closed connections though they lose nothing in silence: that is a loss that is told."""
    lines = []
    for server in servers:
        closed = [load for load in _loads(server) if load.whole("closed")]
        if closed and not _lost(server)[0]:
            least = min(load.whole("number") * (load.number("size") or 0) for load in closed)
            lines.append(f"{server.text('title')} closes connections, from {format_bytes(least)} at once on.")
    return " ".join(lines)


def _verb(names: list[str]) -> str:
    return "loses" if len(names) == 1 else "lose"


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _figures(found: Node, servers: list[Node]) -> list[Figure]:
    figures = []
    for server in servers:
        lost, owed = _lost(server)
        if lost:
            figures.append(
                Figure(
                    percent(lost / max(owed, 1)), f"of all images lost in silence by {server.text('title')}"
                )
            )
    whole = [server for server in servers if not _lost(server)[0]]
    if whole:
        owed = sum(_lost(server)[1] for server in whole)
        names = _and(sorted({_family(server) for server in whole}))
        figures.append(Figure("0", f"lost in silence of {owed:,} by {names}"))
    unread = found.node("buffers").node("server")
    if unread:
        pause = format_s(unread.number("pause_s") or 0)
        came = f"{unread.node('counts').whole('delivered')} of {unread.whole('messages')}"
        figures.append(Figure(came, f"messages came whole after FastAPI had not read for {pause}"))
    return figures[:4]


def _overview(servers: list[Node]) -> Markup:
    rows: list[list[Child]] = []
    for server in servers:
        lost, _ = _lost(server)
        memory = server.node("search").number("memory_bytes")
        rows.append(
            [
                server.text("title"),
                el("span", _lost_words(server), class_=f"word {'bad' if lost else 'good'}"),
                [el("div", cost) for cost in _costs(server)],
                _shared(server),
                "–" if memory is None else format_bytes(memory),
                count(server.whole("lines")),
            ]
        )
    return table(
        "Lost: in silence, on connections that stayed open, in the experiment with size and number. "
        "CPU of a delivery: what the server's processes need for one image of each size to one client, Redis left out. "
        "Two processes: how much of what was sent came to all clients of both. Lines: without comments.",
        ("Served by", "Lost", "CPU of a delivery", "Two processes", "Most memory", "Lines"),
        rows,
        label="In short",
    )


def _rate(server: Node, size: int, clients: int) -> str:
    for cell in server.node("search").nodes("cells"):
        if cell.number("size") == size and cell.whole("clients") == clients:
            good = cell.number("good_rate")
            if good is None:
                return {"invalid": "not known", "none": "none"}.get(cell.text("kind"), "not known")
            return ("≥ " if cell.number("bad_rate") is None else "") + format_rate(good)
    return "not tried"


def _shared(server: Node) -> str:
    shared = server.node("shared")
    owed, arrived = shared.number("owed"), shared.number("arrived")
    if not owed or arrived is None:
        return "refuses to start so" if "reaches one process" in shared.text("failure") else "not known"
    return percent(arrived / owed)


def _costs(server: Node) -> list[str]:
    return [
        f"{format_s(cpu_s)} ({format_bytes(cost.number('size') or 0)})"
        for cost in server.nodes("costs")
        if (cpu_s := cost.number("cpu_s")) is not None
    ] or ["not known"]


def _cell(server: Node, size: float, number: float) -> tuple[str, str, str]:
    """Return what came of so many images of such a size: the first words, more words, and the outcome."""
    load = next(
        (each for each in _loads(server) if each.number("size") == size and each.number("number") == number),
        None,
    )
    if load is None:
        failed = any(each.number("number") == number and "failure" in each for each in server.nodes("bursts"))
        return (
            ("failed", "the probe could not measure it", "invalid") if failed else ("", "not tried", "none")
        )
    owed, gone = load.whole("owed"), _gone(load)
    closed = load.whole("closed")
    held = load.node("counts").whole("not offered") + load.node("counts").whole("late")
    slowest = load.number("max_s")
    if closed:
        codes = sorted({each.whole("code") for each in load.nodes("closes")})
        words = f"{count_of(closed, 'connection')} closed with {', '.join(map(str, codes))}"
        return f"{percent(load.whole('arrived') / max(owed, 1))} came", words, "bad"
    lost = load.node("counts").whole("lost")
    if lost:
        return f"{percent(lost / max(owed, 1))} lost", f"{lost:,} of {owed:,}, no connection closed", "bad"
    if gone:
        # Beside images only errors come, and whoever gets one knows that the server did not take an image.
        refused = load.whole("unmarked") > 0
        first = f"{percent(gone / max(owed, 1))} {'refused' if refused else 'in doubt'}"
        return first, "and the sender was told" if refused else "had not come by then", "invalid"
    if held:
        return f"{percent(held / max(owed, 1))} held back", "or later than 30 s; nothing lost", "invalid"
    return (
        "all came",
        ""
        if slowest is None
        else f"the last after {format_s(slowest)}".replace(" ms", "\N{NO-BREAK SPACE}ms"),
        "good",
    )


def _bursts(found: Node, server: Node) -> list[Child]:
    sizes, numbers = _axes(found)

    def shown(size: float, number: float) -> Child:
        first, more, outcome = _cell(server, size, number)
        if not first:
            return el("span", more, class_="quiet")
        return el("div", el("b", first), el("small", more), class_=f"heat load {outcome}")

    rows: list[list[Child]] = [
        [format_bytes(size), *(shown(size, number) for number in numbers)] for size in sizes
    ]
    return [
        el("h3", server.text("title")),
        table(
            el("span", "Images at once across, size of an image down.", class_="hidden"),
            ("Image", *(f"{number:,.0f} at once" for number in numbers)),
            rows,
            label=f"{server.text('title')}: size and number",
            class_="heatmap",
        ),
    ]


def _causes(found: Node, servers: list[Node]) -> list[str]:
    """Return for each server what was full, as far as its figures say."""
    lines = []
    for server in servers:
        name, loads = server.text("title"), _loads(server)
        lost = [load for load in loads if load.node("counts").whole("lost")]
        closed = [load for load in loads if load.whole("closed")]
        if lost:
            lines.append(f"{name}: {_losing(server, loads, lost)}")
        if closed:
            lines.append(f"{name}: {_closing(server, closed)}")
        if not lost and not closed:
            lines.append(f"{name}: nothing. Senders were held back until there was room again.")
        told: set[str] = set()
        for each in server.nodes("diagnoses"):
            if each.text("cause") not in told:
                told.add(each.text("cause"))
                how = f"{each.text('label')}, {each.text('status')}"
                lines.append(f"{name}, as the probe says it ({how}): {each.text('sentence')}")
    return lines


def _losing(server: Node, loads: list[Node], lost: list[Node]) -> str:
    whole = [load.whole("number") for load in loads if not _gone(load) and not load.whole("closed")]
    first = min(load.whole("number") for load in lost)
    least = max((number for number in whole if number < first), default=0)
    sizes = sorted({load.number("size") or 0 for load in lost if load.whole("number") == first})
    text = (
        f"{least:,} at once come whole, of {first:,} some are lost, of {_and([format_bytes(size) for size in sizes])} "
        "alike, so a number is full and not a buffer of bytes. No connection was closed, and nobody was told."
    )
    if server.text("name").startswith("channels"):
        text += " The channel layer keeps 100 messages for each consumer, and drops what comes on top."
    return text


def _closing(server: Node, closed: list[Node]) -> str:
    cliffs = server.node("search").nodes("cliffs")
    limit = next((cliff.number("good") for cliff in cliffs if cliff.text("dimension") == "size"), None)
    if limit is not None and all((load.number("size") or 0) > limit for load in closed):
        return (
            f"its size limit. A message of {limit:,.0f} bytes passes, a larger one ends the connection, and what was "
            "under way with it is gone."
        )
    ends = [each for load in closed for each in load.nodes("closes")]
    reasons = sorted({f"{each.whole('code')} {each.text('reason')}".rstrip() for each in ends})
    least = min(load.whole("number") * (load.number("size") or 0) for load in closed)
    return (
        f"connections were closed, from {format_bytes(least)} at once on: {'; '.join(reasons)}. "
        "What was under way with them is gone, and the close says so."
    )


def _rates(servers: list[Node]) -> Markup:
    keys = sorted(
        {
            (cell.whole("size"), cell.whole("clients"))
            for server in servers
            for cell in server.node("search").nodes("cells")
        }
    )
    return table(
        "≥ where the probe, on the same machine, could do no more, or its time was over.",
        ("Served by", *(f"{format_bytes(size)} × {clients}" for size, clients in keys)),
        [
            [server.text("title"), *(_rate(server, size, clients) for size, clients in keys)]
            for server in servers
        ],
        label="Highest rates",
    )


def _method(found: Node) -> list[Child]:
    plan = found.node("plan")
    facts = [
        *machine(found.node("machine")),
        ("Sent at once", f"at most {format_bytes(plan.number('most_bytes') or 0)}"),
        ("Waited for", f"{plan.text('patience')} after the intended time"),
        ("Search of the highest rates", format_s(plan.number("search_s") or 0)),
    ]
    left_out = [server for server in found.nodes("servers") if "left_out" in server]
    return [
        el("dl", [el("div", el("dt", name), el("dd", value)) for name, value in facts], class_="facts"),
        el("h3", "Commands"),
        el(
            "ul",
            [el("li", f"python {server.text('command')}") for server in found.nodes("servers")],
            class_="mono",
        ),
        el(
            "p",
            "Server and load share the machine, so rates compare the servers and say little about others. Every number "
            "of images meets a server that was started for it.",
        ),
        [
            el("p", f"Left out: {server.text('title')}, for want of {server.text('left_out')}.")
            for server in left_out
        ],
    ]
