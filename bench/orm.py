"""The ORM: `python -m bench.orm` measures what a query in a handler costs, and whom a slow one holds up.

Each server answers a message after one query by primary key, on SQLite, then on PostgreSQL where that can be had. The
rows have their turns round by round, as in `python -m bench`; the figures are medians of the rounds. Two questions:

- `busy`: 500 connections, each with one message under way.
- `held up`: 100 connections that ask five times a second each, and one more whose query takes a second, again and
  again. The times are those of the hundred, from when they were due; how often the slow one was answered is told.

A row that leaves a message without an answer is shown with that.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

import uvloop

from bench.load.asking import Answers, Asker, connect_all
from bench.machine import describe, load_average
from bench.postgres import Missing, Postgres, running_postgres
from bench.process import Server, cpu_of
from bench.programs import Program
from bench.report import machine_line
from bench.rows import FOLDER, row_named
from bench.servers.orm_table import SLOW

ROWS = ("orm-fastapi", "orm-channels", "orm-roomful-channels", "orm-roomful")
_CONNECTIONS = 500
_QUIET = 100
_INTERVAL_S = 0.2
_WARM_UP_S = 0.5
_GRACE_S = 20.0
_HEADS = {
    "busy": ("messages/s", "p50, ms", "p99, ms", "CPU per message, µs"),
    "held up": ("messages/s", "p50, ms", "p99, ms", "longest, ms", "slow queries answered"),
}


@dataclass(frozen=True, slots=True)
class Round:
    """What one turn gave: the figures of its question, and what went wrong."""

    figures: tuple[float, ...]
    faults: Mapping[str, int]


async def busy(server: Server, seconds: float) -> Round:
    """Ask as fast as answers come."""
    askers = await connect_all(server.port, [f"{number:03}" + "x" * 61 for number in range(_CONNECTIONS)])
    try:
        await _ask(askers, Answers(), _WARM_UP_S)
        answers, before, began = Answers(), cpu_of(server.pid), time.perf_counter()
        await _ask(askers, answers, seconds)
        took, cpu_s = time.perf_counter() - began, cpu_of(server.pid) - before
    finally:
        for asker in askers:
            asker.close()
    count = len(answers.took)
    return Round((count / took, *_percentiles(answers), cpu_s / count * 1e6) if count else (), answers.faults)


async def held_up(server: Server, seconds: float) -> Round:
    """Ask now and then, beside one whose query takes a second."""
    askers = await connect_all(server.port, [f"{number:03}" for number in range(_QUIET)], _INTERVAL_S)
    [slow] = await connect_all(server.port, [SLOW])
    try:
        await _ask(askers, Answers(), _WARM_UP_S, spread_s=_INTERVAL_S)
        of_slow, answers, began = Answers(), Answers(), time.perf_counter()
        slow.begin(of_slow, until=began + seconds)
        await _ask(askers, answers, seconds, spread_s=_INTERVAL_S)
        took = time.perf_counter() - began
        await _wait([slow], of_slow)
    finally:
        for asker in (*askers, slow):
            asker.close()
    faults = answers.faults | {f"slow query: {name}": count for name, count in of_slow.faults.items()}
    if not answers.took:
        return Round((), faults)
    figures = (len(answers.took) / took, *_percentiles(answers), max(answers.took) * 1e3, len(of_slow.took))
    return Round(figures, faults)


async def _ask(askers: list[Asker], answers: Answers, seconds: float, *, spread_s: float = 0.0) -> None:
    until = time.perf_counter() + seconds
    for number, asker in enumerate(askers):
        asker.begin(answers, until=until, delay_s=spread_s * number / len(askers))
    await asyncio.sleep(seconds)
    await _wait(askers, answers)


async def _wait(askers: list[Asker], answers: Answers) -> None:
    """Wait for what is under way, and count who gets no answer."""
    last = time.perf_counter() + _GRACE_S
    while any(asker.is_waiting for asker in askers) and time.perf_counter() < last:  # noqa: ASYNC110 -- no event tells of all
        await asyncio.sleep(0.01)
    for asker in askers:
        if asker.is_waiting:
            answers.fault(f"without an answer for {_GRACE_S:.0f} s")


def _percentiles(answers: Answers) -> tuple[float, float]:
    return (answers.percentile(0.5) or 0.0) * 1e3, (answers.percentile(0.99) or 0.0) * 1e3


async def _measure(
    args: argparse.Namespace, asked: str, core: int, say: Callable[[str], None]
) -> dict[str, list[Round]]:
    """Let each row have its turns; return the rounds by row, for one question on one database."""
    question = busy if asked == "busy" else held_up
    rounds: dict[str, list[Round]] = {}
    for number in range(args.rounds):
        for name in args.rows:
            command = row_named(name).start_command(sys.executable, Program.QUERY)
            assert command is not None  # it is a module
            server = Server(command, core=core, folder=FOLDER)
            try:
                await server.start()
                rounds.setdefault(name, []).append(await question(server, args.seconds))
            except (RuntimeError, OSError) as error:
                rounds.setdefault(name, []).append(Round((), {str(error)[:200]: 1}))
            finally:
                server.stop()
            last = rounds[name][-1]
            figures = " ".join(f"{figure:,.1f}" for figure in last.figures) or "–"
            say(f"{asked:<8} round {number + 1}  {name:<22} {figures}  {dict(last.faults) or ''}")
    return rounds


def table(question: str, rounds: Mapping[str, list[Round]]) -> list[str]:
    """Return a table: medians with the least and the most, all rows, and what went wrong below it."""
    heads = _HEADS[question]
    lines = [f"| | {' | '.join(heads)} |", "|---" + "|---:" * len(heads) + "|"]
    notes = []
    for name, many in rounds.items():
        title = row_named(name).title
        cells = ["–"] * len(heads)
        given = [one.figures for one in many if one.figures]
        if given:
            cells = [
                f"{median(column):,.1f} ({min(column):,.1f}–{max(column):,.1f})"
                for column in zip(*given, strict=True)
            ]
        lines.append(f"| {title} | {' | '.join(cells)} |")
        for number, one in enumerate(many, 1):
            notes += [f"- {title}, round {number}: {count} {fault}" for fault, count in one.faults.items()]
    return [*lines, "", *notes, *([""] if notes else [])]


def _versions(about: Mapping[str, object], postgres: Postgres | None) -> Iterator[tuple[str, str]]:
    versions = about["versions"]
    assert isinstance(versions, Mapping)
    yield "Python", str(versions["python"])
    for name in ("django", "channels", "fastapi", "sqlalchemy", "aiosqlite", "psycopg", "uvicorn"):
        with suppress(PackageNotFoundError):
            yield name, version(name)
    if postgres is not None:
        yield "PostgreSQL", postgres.version


def main() -> int:
    """Run, and write the report."""
    parser = argparse.ArgumentParser(prog="python -m bench.orm", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--row", action="append", choices=ROWS, dest="rows")
    parser.add_argument("--question", action="append", choices=tuple(_HEADS), dest="questions")
    parser.add_argument("--out", type=Path, default=FOLDER / "bench/results/orm.md")
    args = parser.parse_args()
    # The database and the servers are stopped on the way out, also when the harness is told to end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    args.rows = args.rows or list(ROWS)
    cores = sorted(os.sched_getaffinity(0))
    about = describe(sys.executable)
    load = load_average()
    lines: list[str] = []
    with ExitStack() as stack:
        databases: dict[str, Postgres | None] = {"SQLite": None}
        try:
            databases["PostgreSQL"] = stack.enter_context(running_postgres())
        except Missing as missing:
            lines += [f"PostgreSQL: left out, {missing}.", ""]
        # The database's processes run where they like, the load on the last core.
        os.sched_setaffinity(0, {cores[-1]})
        for database, postgres in databases.items():
            if postgres is not None:
                os.environ["BENCH_POSTGRES"] = postgres.folder
            for asked in args.questions or _HEADS:
                print(f"# {database}, {asked}", flush=True)
                rounds = uvloop.run(_measure(args, asked, cores[0], lambda line: print(line, flush=True)))
                lines += [f"## {database}, {asked}", "", *table(asked, rounds)]
        os.environ.pop("BENCH_POSTGRES", None)
    options = "".join(f" --{name} {getattr(args, name)}" for name in ("rounds", "seconds"))
    loads = f"load average {load:.1f} before, {load_average():.1f} after"
    head = [
        "# The ORM in a handler",
        "",
        f"`python -m bench.orm{options}`, {datetime.now(UTC):%Y-%m-%d}; {loads}; commit {about['commit']}.",
        f"Machine: {machine_line(about)}.",
    ]
    head += [f"{args.rounds} rounds of {args.seconds} s, the rows in turn; medians (least–most)."]
    versions = ", ".join(
        f"{name} {version}" for name, version in _versions(about, databases.get("PostgreSQL"))
    )
    head += [
        f"Versions: {versions}.",
        "SQLAlchemy asks SQLite through aiosqlite, and everybody PostgreSQL through psycopg.",
        "",
    ]
    args.out.write_text("\n".join((*head, *lines)).rstrip() + "\n")
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
