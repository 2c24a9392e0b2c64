"""The words of the command line: every option, its default, and its help.

Whoever adds an option here adds it to `docs/reference/probe.md`.
"""

from __future__ import annotations

import argparse
from typing import NoReturn

from roomful.probe.errors import UsageError
from roomful.probe.mode import Mode
from roomful.probe.payloads import KINDS
from roomful.probe.thresholds import MEASURES

__all__ = ("make_parser", "whole")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see {self.prog} --help")


def make_parser() -> argparse.ArgumentParser:
    """Return the parser; what it says of an error is a `UsageError`."""
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
    add("--burst", type=whole, default=1, metavar="N", help="send N at once, at --rate on average")
    add(
        "--max-size",
        default="32MiB",
        metavar="SIZE",
        help="how far to search for a size limit; 0 for not (32MiB)",
    )
    add(
        "--max-burst",
        type=whole,
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
    add("--max-closes", type=whole, default=0, metavar="N", help="connections that the server may close (0)")
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
    add("--pid", type=whole, metavar="N", help="the server's process; else found by its port")
    add("--stacks", action="store_true", help="take the stacks of a Python server with py-spy")
    add("--no-questions", action="store_true", help="make only loads")
    add("--storm", type=whole, default=64, metavar="N", help="connections that the questions open (64)")
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
    add("--rounds", type=whole, default=3, metavar="N", help="how often A and B are measured (3, the least)")
    add("--start-timeout", default="20s", metavar="TIME", help="until the command listens (20s)")


def whole(text: str) -> int:
    """Read a whole number of 0 or more.

    Raises:
        UsageError: it is none.
    """
    try:
        value = int(text)
    except ValueError:
        raise UsageError(f"{text!r} is not a whole number") from None
    if value < 0:
        raise UsageError(f"{text} is negative; expected 0 or more")
    return value
