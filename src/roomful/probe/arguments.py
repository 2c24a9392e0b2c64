"""The command line of the probe, and the options that it makes.

Whoever adds an option here adds it to `docs/reference/probe.md`.
"""

from __future__ import annotations

import argparse
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn, TypeVar

from roomful.probe.errors import UsageError
from roomful.probe.findings import Knob
from roomful.probe.goals import Goals
from roomful.probe.intervention.knobs import PLACEBO, parse_knob
from roomful.probe.options import Options
from roomful.probe.payloads import KINDS
from roomful.probe.target import Target
from roomful.probe.thresholds import MEASURES, parse_threshold
from roomful.probe.traffic import Mode
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


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see {self.prog} --help")


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
    parser = _parser()
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
    clients = _numbers(space.clients, _whole) or (
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


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="roomful probe",
        description="Load a WebSocket server, keep a ledger of every message, find where it breaks.",
        epilog="exit codes: 0 pass, 1 threshold breached, 2 usage, 3 unreachable, 4 inconclusive",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "what",
        nargs="?",
        metavar="URL | run | buffers | report | compare",
        help="a server; or start one; or see what socket buffers do; or look at results again",
    )
    add("--quick", action="store_true", help="a result within 30 seconds; by default within three minutes")

    group = parser.add_argument_group("load")
    add = group.add_argument
    add(
        "--size",
        action="append",
        default=[],
        metavar="SIZE",
        help="bytes of a message: 128, 64KiB, 4MB; repeatable",
    )
    add(
        "--rate",
        action="append",
        default=[],
        metavar="N",
        help="messages a second over all clients; else searched",
    )
    add("--clients", action="append", default=[], metavar="N", help="connections; repeatable")
    add("--duration", default="10s", metavar="TIME", help="of a load with --rate (10s)")
    add("--time", metavar="TIME", help="that a search may take (150s)")
    add(
        "--payload",
        choices=KINDS,
        default="text",
        help="kind of message; png and jpeg are real pictures (text)",
    )
    add("--ramp", action="store_true", help="rise from nothing to --rate")
    add("--burst", type=_whole, default=1, metavar="N", help="send N at once, at --rate on average")
    add(
        "--max-size",
        default="32MiB",
        metavar="SIZE",
        help="how far to search for a size limit; 0 for not (32MiB)",
    )
    add(
        "--max-burst",
        type=_whole,
        default=16384,
        metavar="N",
        help="how far to search for a queue's limit; 0 for not",
    )

    group = parser.add_argument_group("server")
    add = group.add_argument
    add(
        "--mode",
        choices=("auto", *(mode.value for mode in Mode)),
        default="auto",
        help="who gets what is sent (auto)",
    )
    add("--adapter", default="plain", metavar="NAME", help="plain, events, events:TYPE.FIELD or module:Class")
    add("--header", action="append", default=[], metavar="'NAME: VALUE'", help="of the handshake; repeatable")
    add("--cookie", action="append", default=[], metavar="NAME=VALUE", help="repeatable")
    add("--token", metavar="TOKEN", help="sent as Authorization: Bearer TOKEN")
    add("--subprotocol", action="append", default=[], metavar="NAME", help="repeatable")
    add("--origin", metavar="ORIGIN", help="the Origin header (none)")
    add("--ca", metavar="FILE", help="certificates to trust, PEM")
    add("--cert", metavar="FILE", help="certificate and key of the client, PEM")
    add("--insecure", action="store_true", help="do not check the server's certificate")
    add(
        "--source",
        action="append",
        default=[],
        metavar="ADDRESS",
        help="local address to connect from; repeatable",
    )
    add("--open-timeout", default="5s", metavar="TIME", help="of a handshake (5s)")
    add(
        "--i-may-load-this-host",
        action="store_true",
        help="needed for every address that is not this machine",
    )

    _add_result_groups(parser)
    return parser


def _add_result_groups(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("goals of a good trial")
    add = group.add_argument
    add("--deadline", default="1s", metavar="TIME", help="a message that comes later is late (1s)")
    add(
        "--max-bad",
        default="0",
        metavar="SHARE",
        help="of messages lost, late or not offered: 0.001 or 0.1%% (0)",
    )
    add("--max-p99", metavar="TIME", help="of latency (the deadline)")
    add("--max-closes", type=_whole, default=0, metavar="N", help="connections that the server may close (0)")
    add("--max-growth", default="2%", metavar="SHARE", help="by which latency may grow each second (2%%)")
    add("--max-late", metavar="TIME", help="p99 of the generator's own lateness (a tenth of the deadline)")

    group = parser.add_argument_group("result")
    add = group.add_argument
    add(
        "--fail-if",
        action="append",
        default=[],
        metavar="'loss>0'",
        help=f"repeatable; of {', '.join(MEASURES)}",
    )
    add("--json", metavar="FILE", help="write the result there; - for standard output")
    add("--html", metavar="FILE", help="write it as a page that needs nothing else")
    add("--markdown", metavar="FILE", help="write it as Markdown, for the summary of a CI job")
    add("--plain", action="store_true", help="lines instead of a live display")
    add("--quiet", action="store_true", help="only the verdict")

    group = parser.add_argument_group("evidence")
    add = group.add_argument
    add("--pid", type=_whole, metavar="N", help="the server's process; else found by its port")
    add("--stacks", action="store_true", help="take the stacks of a Python server with py-spy")
    add("--no-questions", action="store_true", help="make only loads")
    add("--storm", type=_whole, default=64, metavar="N", help="connections that the questions open (64)")
    add("--no-evidence", action="store_true", help="watch only the traffic")

    group = parser.add_argument_group("roomful probe run -- COMMAND")
    add = group.add_argument
    add("--url", metavar="URL", help="of the server that is started; else its port is found")
    add("--path", default="/ws", metavar="PATH", help="of the URL, when the port is found (/ws)")
    add(
        "--knob",
        action="append",
        default=[],
        metavar="env:NAME=A,B",
        help="what may be changed to prove a cause: env:NAME=A,B, arg:--flag=A,B, limit:nofile=A,B; repeatable",
    )
    add(
        "--placebo", metavar="env:NAME=A,B", help="a knob that must not matter (a variable that nobody reads)"
    )
    add("--rounds", type=_whole, default=3, metavar="N", help="how often A and B are measured (3, the least)")
    add("--start-timeout", default="20s", metavar="TIME", help="until the command listens (20s)")


def _numbers(texts: list[str], read: Callable[[str], _N]) -> tuple[_N, ...]:
    return tuple(read(part) for text in texts for part in text.split(",") if part)


def _whole(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        raise UsageError(f"{text!r} is not a whole number") from None
    if value < 0:
        raise UsageError(f"{text} is negative; expected 0 or more")
    return value


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
