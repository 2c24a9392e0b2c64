"""What the command line says: the options of a run, made from its words and checked."""

from __future__ import annotations

import argparse
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from roomful.probe.command_line import make_parser, whole
from roomful.probe.errors import UsageError
from roomful.probe.findings import Knob
from roomful.probe.goals import Goals
from roomful.probe.intervention.knobs import PLACEBO, parse_knob
from roomful.probe.mode import Mode
from roomful.probe.options import Options
from roomful.probe.target import Target
from roomful.probe.thresholds import parse_threshold
from roomful.probe.units import parse_bytes, parse_rate, parse_s

__all__ = ("Arguments", "parse")

_N = TypeVar("_N", int, float)
_SIZES = (128, 4096, 65536, 1 << 20, 4 << 20)
_QUICK_BUDGET_S = 16.0
_QUICK_SIZES = (128, 65536, 1 << 20)
_QUICK_CLIENTS = (10,)
_QUICK_MAX_BURST = 4096


@dataclass(frozen=True, slots=True)
class Arguments:
    """What the command line says.

    Attributes:
        action: `url`, `run` or `buffers`.
        options: What to do; its target's URL is empty for `run` without `--url`.
        command: What `run` starts.
        path: The path that `run` opens when it finds the port itself.
        start_timeout_s: How long the command may take until it listens.
        json_path: Where the result goes; `-` is standard output.
        html_path, markdown_path: Where its page and its Markdown go, likewise.
        knobs, placebo, rounds: What an intervention may turn, what must not matter, and how often.
        plain, quiet: How to show the run.
    """

    action: str
    options: Options
    command: tuple[str, ...] = ()
    path: str = "/ws"
    start_timeout_s: float = 20.0
    json_path: str | None = None
    html_path: str | None = None
    markdown_path: str | None = None
    knobs: tuple[Knob, ...] = ()
    placebo: Knob = PLACEBO
    rounds: int = 3
    plain: bool = False
    quiet: bool = False


def parse(argv: Sequence[str]) -> Arguments:
    """Read a command line, without the program's name.

    Raises:
        UsageError: it is not one of the probe's.
        SystemExit: help was asked for.
    """
    own, command = list(argv), []
    if "--" in own:
        place = own.index("--")
        own, command = own[:place], own[place + 1 :]
    parser = make_parser()
    space = parser.parse_args(own)
    action = space.what if space.what in ("run", "buffers") else "url"
    if action == "url" and not space.what:
        raise UsageError(
            "no URL; expected roomful probe ws://… , roomful probe run -- COMMAND or roomful probe buffers"
        )
    if action == "run" and not command:
        raise UsageError("nothing to run; expected roomful probe run [OPTIONS] -- COMMAND [ARGUMENTS]")
    if action != "run" and space.knob:
        raise UsageError("a knob is turned between starts; only `roomful probe run` starts a server")
    if action != "run" and command:
        raise UsageError(f"{' '.join(command)!r} stands behind --; only `roomful probe run` takes a command")
    _check_paths(action, space)
    return Arguments(
        action=action,
        options=_options(space, space.url or "" if action != "url" else space.what),
        command=tuple(command),
        path=space.path,
        start_timeout_s=parse_s(space.start_timeout),
        json_path=space.json,
        html_path=space.html,
        markdown_path=space.markdown,
        knobs=tuple(parse_knob(text) for text in space.knob),
        placebo=parse_knob(space.placebo) if space.placebo else PLACEBO,
        rounds=space.rounds,
        plain=space.plain,
        quiet=space.quiet,
    )


def _check_paths(action: str, space: argparse.Namespace) -> None:
    paths = [path for path in (space.json, space.html, space.markdown) if path]
    if len(paths) != len(set(paths)):
        raise UsageError("--json, --html and --markdown name the same file")
    if action == "buffers" and (space.html or space.markdown):
        raise UsageError("buffers has --json alone; `roomful probe report FILE` makes a page of it")


def _options(space: argparse.Namespace, url: str) -> Options:
    quick = space.quick
    sizes = _numbers(space.size, parse_bytes) or (_QUICK_SIZES if quick else _SIZES)
    clients = _numbers(space.clients, whole) or (
        _QUICK_CLIENTS if quick else ((1, 10, 100) if not space.rate else (10,))
    )
    rates = _numbers(space.rate, parse_rate)
    if rates and not space.size:
        sizes = (128,)
    shape = "ramp" if space.ramp else "burst" if space.burst > 1 else "constant"
    return Options(
        target=Target(
            url=url,
            headers=_headers(space),
            subprotocols=tuple(space.subprotocol),
            origin=space.origin,
            tls=_tls(space) if url.startswith("wss:") else None,
            sources=tuple(space.source),
            open_timeout_s=parse_s(space.open_timeout),
        ),
        allowed=space.i_may_load_this_host,
        payload=space.payload,
        sizes=tuple(sizes),
        clients=tuple(clients),
        rates=tuple(rates),
        shape=shape,
        burst=space.burst,
        duration_s=parse_s(space.duration),
        budget_s=parse_s(space.time) if space.time else (_QUICK_BUDGET_S if quick else 150.0),
        mode=None if space.mode == "auto" else Mode(space.mode),
        adapter=space.adapter,
        goals=Goals(
            deadline_s=parse_s(space.deadline),
            bad_fraction=_share(space.max_bad),
            p99_s=parse_s(space.max_p99) if space.max_p99 else None,
            closes=space.max_closes,
            growth=_share(space.max_growth),
            generator_late_s=parse_s(space.max_late) if space.max_late else None,
        ),
        max_size=parse_bytes(space.max_size),
        max_burst=min(space.max_burst, _QUICK_MAX_BURST) if quick else space.max_burst,
        thresholds=tuple(parse_threshold(text) for text in space.fail_if),
        questions=not space.no_questions,
        storm=space.storm,
        evidence=not space.no_evidence,
        pid=space.pid,
        stacks=space.stacks,
    )


def _numbers(texts: list[str], read: Callable[[str], _N]) -> tuple[_N, ...]:
    return tuple(read(part) for text in texts for part in text.split(",") if part)


def _share(text: str) -> float:
    return parse_rate(text[:-1]) / 100 if text.endswith("%") else parse_rate(text)


def _headers(space: argparse.Namespace) -> tuple[tuple[str, str], ...]:
    headers = []
    for text in space.header:
        name, colon, value = text.partition(":")
        if not colon or not name.strip():
            raise UsageError("a --header has no colon; expected 'NAME: VALUE'")
        headers.append((name.strip(), value.strip()))
    if space.cookie:
        headers.append(("Cookie", "; ".join(space.cookie)))
    if space.token:
        headers.append(("Authorization", f"Bearer {space.token}"))
    if any("\n" in value or "\r" in value for _, value in headers):
        raise UsageError("a header holds a line break")
    return tuple(headers)


def _tls(space: argparse.Namespace) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=space.ca)
        if space.cert:
            context.load_cert_chain(space.cert)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"certificate cannot be read: {error}") from error
    if space.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
