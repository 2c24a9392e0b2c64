"""The run: the cases one after another, in each the rows in turn, round by round.

What disturbs a machine for a second so disturbs one round of one row, which the median leaves out, and ratios are made
of neighbours.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.cases import Case
from bench.load.latency import Latency
from bench.machine import load_average
from bench.pair import Pair
from bench.process import Server
from bench.programs import Program
from bench.rows import FOLDER, Row, row_named
from bench.sample import Sample

__all__ = ("CaseResult", "Plan", "run_case")

_ROUND_S = 120.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How to run.

    Attributes:
        rounds: How often each row has its turn.
        seconds: How long a turn is measured, where the case does not say itself.
        core: The servers' core.
        python: The servers' Python.
        rows: Only these; empty for all.
        certificate: Of servers that speak TLS.
    """

    rounds: int
    seconds: float
    core: int
    python: str
    rows: frozenset[str] = frozenset()
    certificate: Path | None = None


@dataclass(slots=True)
class CaseResult:
    """What a case gave.

    Attributes:
        case: Its name.
        samples: Of each row, by round; None where a round has no figures.
        skipped: Why a row was left out.
        load_average: The machine's, before and after.
    """

    case: str
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    load_average: list[float] = field(default_factory=list)


async def run_case(case: Case, plan: Plan, say: Callable[[str], None]) -> CaseResult:
    """Run one case on every row that is there."""
    result = CaseResult(case.name, load_average=[load_average()])
    rows = _rows(case, plan, result)
    servers: dict[str, Server] = {}
    try:
        if not case.is_fresh:
            for row in rows:
                with suppress(RuntimeError):
                    servers[row.name] = await _start(case, plan, row)
        if case.pace is not None:
            case = await _paced(case, plan, servers, say)
        for number in range(min(plan.rounds, case.rounds or plan.rounds)):
            # What cannot do a case at all need not fail at it again and again.
            rows = [row for row in rows if number == 0 or result.samples[row.name][0].figures]
            if case.is_parallel:
                samples = await asyncio.gather(*(_turn(case, plan, row, servers) for row in rows))
            else:
                samples = []
            for index, row in enumerate(rows):
                if not case.is_parallel:
                    samples.append(await _turn(case, plan, row, servers))
                result.samples.setdefault(row.name, []).append(samples[index])
                say(_line(case, row, number, samples[index]))
    finally:
        for server in servers.values():
            server.stop()
    result.load_average.append(load_average())
    return result


async def _paced(case: Case, plan: Plan, servers: dict[str, Server], say: Callable[[str], None]) -> Case:
    """Find the greatest rate of the row that sets the pace, and set the load's."""
    assert case.pace is not None
    assert isinstance(case.load, Latency)
    name, share = case.pace
    full = replace(case, load=case.load.at_full_rate)
    rates = [
        sample.figures["rate"]
        for _ in range(2)
        if (sample := await _turn(full, plan, row_named(name), servers)).is_valid
    ]
    if not rates:
        raise RuntimeError(f"{name} gave no rate to set the pace by")
    say(f"{case.name:<18} pace: {share:.0%} of the {max(rates):,.0f} deliveries/s of {name}")
    return replace(case, load=replace(case.load, rate=share * max(rates)))


def _rows(case: Case, plan: Plan, result: CaseResult) -> list[Row]:
    rows = []
    for name in case.rows:
        row = row_named(name)
        if plan.rows and name not in plan.rows:
            continue
        missing = row.missing(plan.python)
        if missing is None and case.load.program not in row.programs:
            missing = "cannot do this"
        if missing is None and case.has_tls and not row.has_tls:
            missing = "speaks no TLS"
        if missing is None:
            rows.append(row)
        else:
            result.skipped[name] = missing
    return rows


async def _start(case: Case, plan: Plan, row: Row) -> Server:
    handler_s = float(getattr(case.load, "handler_s", 0.0))
    certificate = plan.certificate if case.has_tls else None
    command = row.start_command(plan.python, case.load.program, certificate=certificate, handler_s=handler_s)
    assert command is not None  # or it was skipped
    server: Server
    if case.load.program is Program.NODES:
        server = Pair(command, core=plan.core, folder=FOLDER, dialect=row.dialect)
    else:
        server = Server(command, core=plan.core, folder=FOLDER, answers=row.answers, tls=case.has_tls)
    try:
        await server.start()
    except BaseException:
        server.stop()
        raise
    return server


async def _turn(case: Case, plan: Plan, row: Row, servers: dict[str, Server]) -> Sample:
    """Let one row have its turn; a server that has ended, or did not start, is started again."""
    try:
        server = servers.get(row.name)
        if server is None or not server.is_running:
            server = servers[row.name] = await _start(case, plan, row)
        # A collection in the load would look like a slow server.
        gc.collect()
        gc.disable()
        try:
            async with asyncio.timeout(_ROUND_S):
                return await case.load.run(server, seconds=plan.seconds)
        finally:
            gc.enable()
            if case.is_fresh:
                servers.pop(row.name).stop()
    except Exception as error:  # noqa: BLE001 -- one server's failure is a result, and the others go on
        if row.name in servers:
            servers.pop(row.name).stop()
        return Sample(faults={_text(error): 1})


def _text(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"[:600]


def _line(case: Case, row: Row, number: int, sample: Sample) -> str:
    column = case.columns[0]
    value = sample.figures.get(column.figure)
    shown = "–" if value is None else f"{value * column.scale:.{column.digits}f}"
    faults = "".join(f"  ! {name} ({count})" for name, count in sample.faults.items())
    remarks = "".join(f"  {remark}" for remark in sample.remarks)
    return f"{case.name:<18} round {number + 1}  {row.name:<16} {shown:>10} {column.title}{faults}{remarks}"
