"""How it was measured: the machine, the load, how punctual the probe was, what could not be seen, and why."""

from __future__ import annotations

from typing import Final

from roomful.probe.page.figures import count, percent, value_of
from roomful.probe.page.markup import Child, Markup, el, table
from roomful.probe.page.reading import Node
from roomful.probe.units import format_bytes, format_s

__all__ = ("machine", "method")

_MOST_OUTPUT: Final = 16_384
# What is shown of the options, with its unit; what is not named here is shown as it is.
_UNITS: Final = {
    "sizes": "bytes",
    "max_size": "bytes",
    "duration_s": "s",
    "budget_s": "s",
    "deadline_s": "s",
    "max_p99_s": "s",
    "max_generator_late_s": "s",
    "max_bad_fraction": "share",
    "max_growth": "share",
    "rates": "1/s",
}


def method(result: Node) -> list[Child]:
    """Return all of it."""
    return [
        el("h3", "Machine"),
        _pairs(machine(result.node("machine"))),
        el("h3", "The probe itself"),
        *_generator(result),
        el("h3", "Before and after"),
        _baselines(result),
        el("h3", "What was asked for"),
        _pairs(_options(result), class_="facts many"),
        el("h3", "What was seen, and what was not"),
        _sources(result),
        *_server(result),
        *_notes(result),
    ]


def machine(found: Node) -> list[tuple[str, str]]:
    """Return names and values."""
    memory, cores = found.number("memory_bytes"), found.number("cores")
    system = " ".join(filter(None, (found.text(name) for name in ("system", "release", "architecture"))))
    return [
        ("System", system or "unknown"),
        ("CPU", f"{found.text('cpu') or 'unknown'}, {count(cores)} cores"),
        ("Memory", "unknown" if memory is None else format_bytes(memory)),
        ("Python of the probe", found.text("python") or "unknown"),
    ]


def _pairs(pairs: list[tuple[str, str]], *, class_: str = "facts") -> Markup:
    return el("dl", [el("div", el("dt", name), el("dd", value)) for name, value in pairs], class_=class_)


def _generator(result: Node) -> list[Child]:
    trials = result.nodes("trials")
    late = [
        (value, trial)
        for trial in trials
        if (value := trial.node("generator").number("late_p99_s")) is not None
    ]
    if not late:
        return [el("p", "No load was made.")]
    worst, trial = max(late, key=lambda pair: pair[0])
    busy = max(
        (share for each in trials if (share := each.node("generator").number("cpu")) is not None),
        default=None,
    )
    waits = [share for each in trials if (share := each.node("generator").number("waiting")) is not None]
    limit = result.node("options").number("max_generator_late_s")
    invalid = sum(each.text("outcome") == "invalid" for each in trials)
    middle = sorted(value for value, _ in late)[len(late) // 2]
    return [
        el(
            "p",
            "The schedule never waits for the server, and latency counts from the intended time of a message, so the "
            "probe watches its own punctuality. A trial in which it was late says nothing.",
        ),
        _pairs(
            [
                ("Its lateness, p99 of the usual trial", format_s(middle)),
                (
                    "Its lateness, p99 of the worst trial",
                    f"{format_s(worst)} (trial {trial.whole('number')})",
                ),
                ("Allowed", "unknown" if limit is None else format_s(limit)),
                ("Most CPU of one core", percent(busy)),
                (
                    "Most time spent waiting for a core",
                    percent(max(waits)) if waits else "the kernel does not say",
                ),
                ("Trials that say nothing", f"{invalid} of {len(trials)}"),
            ]
        ),
    ]


def _baselines(result: Node) -> Markup:
    baselines = result.nodes("baselines")
    if not baselines:
        return el("p", "There is no baseline: the run ended before it was taken.")

    def row(each: Node) -> list[Child]:
        if each.flag("reachable") is False:
            return [each.text("when"), f"not reachable: {each.text('error')}", "–", "–", "–"]
        memory = sum(one.whole("rss_bytes") for one in each.node("server").nodes("processes"))
        times = (each.number(name) for name in ("p50_s", "p99_s", "ping_s"))
        return [
            each.text("when"),
            *("–" if value is None else format_s(value) for value in times),
            format_bytes(memory) if memory else "–",
        ]

    return table(
        "A lone client with small messages, before everything and after it.",
        ("When", "p50", "p99", "Ping", "Server's memory"),
        [row(each) for each in baselines],
        label="Baselines",
        numeric=frozenset({1, 2, 3, 4}),
    )


def _options(result: Node) -> list[tuple[str, str]]:
    target = result.node("target")
    pairs = [("Command", f"roomful probe {result.text('command')}".strip())]
    headers = target.texts("headers")
    if headers:
        pairs.append(("Headers, without their values", ", ".join(headers)))
    for name, value in result.node("options").pairs():
        unit = _UNITS.get(name, "")
        values = value if isinstance(value, list) else [value]
        shown = ", ".join(value_of(each, unit) for each in values if each is not None)
        label = name.removesuffix("_s").replace("_", " ")
        pairs.append((label[:1].upper() + label[1:], shown or "not set"))
    return pairs


def _sources(result: Node) -> Markup:
    sources = result.node("evidence").nodes("sources")
    if not sources:
        return el("p", "Only the traffic itself was watched.")
    rows: list[list[Child]] = []
    for each in sources:
        seen = each.flag("available") is True
        rows.append(
            [
                each.text("name").replace("_", " "),
                el("span", "seen" if seen else "not seen", class_=f"word {'good' if seen else 'warn'}"),
                count(each.whole("samples")),
                each.text("reason") or ("" if seen else "nothing was said"),
            ]
        )
    return table(
        "Sources of evidence beside the traffic.",
        ("Source", "", "Samples", "Remark"),
        rows,
        label="Sources of evidence",
        numeric=frozenset({2}),
    )


def _server(result: Node) -> list[Child]:
    found: list[Child] = []
    evidence = result.node("evidence")
    commands = [Node(value).text("command") for _, value in evidence.node("processes").pairs()]
    if any(commands):
        found += [
            el("h3", "Processes of the server"),
            el("ul", [el("li", command) for command in commands if command], class_="mono"),
        ]
    child = evidence.node("child")
    if child:
        code = child.number("exit_code")
        words = " ".join(child.texts("command"))
        by_itself = code is not None and child.flag("stopped_by_probe") is not True
        ended = f"ended by itself with exit code {code:.0f}" if by_itself else "was stopped by the probe"
        found += [
            el("h3", "The server that was started"),
            el("p", el("code", words), f" {ended}."),
        ]
        output = child.text("log_tail")[-_MOST_OUTPUT:]
        if output.strip():
            lines = [f"{line}\n" for line in output.splitlines()]
            found.append(el("details", el("summary", "The end of its output"), el("pre", lines, tabindex=0)))
    return found


def _notes(result: Node) -> list[Child]:
    notes = [*result.texts("notes"), *result.node("diagnosis").texts("notes")]
    if not notes:
        return []
    return [el("h3", "Notes"), el("ul", [el("li", note) for note in notes])]
