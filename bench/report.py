"""The report: Markdown of a run's JSON. Pure. It opens with its bias."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.cases import CASES, Aim, Case, Column
from bench.results import Spread, ratio, spread
from bench.rows import row_named
from bench.run import CaseResult

__all__ = ("BIAS", "machine_line", "markdown")

BIAS = """\
**Bias.** This benchmark was written by the authors of Roomful, who chose the cases and know their own code best.
It runs over the loopback interface of one machine, one server process on one core (two nodes and their Redis share
it too), with clients that do nothing else:
real networks, several processes and real clients cost more, and make the differences smaller.
The rows do not do the same work: the kernel's floor, the raw transport loop, picows and socketify neither check
origins, nor bound what a slow reader costs, nor number events.
FastAPI's loop and Channels are run as their documentation shows them, and Channels' in-memory layer is meant for tests.
The absolute figures are this machine's; what may be compared are the ratios, made in the same rounds.
"""


_QUIET = 0.7
_BUSY = "- **The machine was busy**: its load average was {:.1f} before the run began; take nothing here for a result."


def markdown(run: Mapping[str, object], results: Sequence[CaseResult]) -> str:
    """Return the report of a run: its bias, its machine, what was to be reached, and a table for each case."""
    by_name = {result.case: result for result in results}
    cases = [case for case in CASES if case.name in by_name]
    lines = ["# Benchmark", "", BIAS]
    lines += _about(run)
    lines += _aims(cases, by_name)
    for case in cases:
        lines += _table(case, by_name[case.name])
    return "\n".join(lines).rstrip() + "\n"


def machine_line(about: Mapping[str, object]) -> str:
    """Say on which machine it was, from what `describe` told."""
    machine = about["machine"]
    assert isinstance(machine, Mapping)
    virtual = "a virtual machine, " if machine["virtual"] else ""
    cores = f"{virtual}{machine['cores']} cores of {machine['processor']}, {machine['memory_gb']} GB"
    return f"{cores}, {machine['kernel']}"


def _about(run: Mapping[str, object]) -> list[str]:
    versions = run["versions"]
    assert isinstance(versions, Mapping)
    shown = ", ".join(f"{name} {version}" for name, version in versions.items())
    return [
        f"- Command: `{run['command']}`, on {run['date']}, in {run['took_s']} s; commit {run['commit'] or 'unknown'}",
        f"- Machine: {machine_line(run)}",
        f"- Versions: {shown}",
        f"- Rounds: up to {run['rounds']} of {run['seconds']} s, the rows in turn; medians (least–most)",
        "- CPU: the kernel's account of the server's threads, over what all members got or all clients were answered",
        f"- System calls: {run['counting']}",
        f"- Load: {run['loading']}",
        *([_BUSY.format(run["load_average"])] if _is_busy(run) else []),
        "",
    ]


def _is_busy(run: Mapping[str, object]) -> bool:
    before = run["load_average"]
    return isinstance(before, float) and before > _QUIET


def _aims(cases: Sequence[Case], results: Mapping[str, CaseResult]) -> list[str]:
    lines = [
        "## Figures to reach",
        "",
        "| case | figure | at most | aim | measured | |",
        "|---|---|---|---|---|---|",
    ]
    for case in cases:
        for aim in case.aims:
            rows = [aim.row, f"{aim.row}-fastapi"] if aim.everywhere else [aim.row]
            rows = [row for row in rows if row in results[case.name].samples]
            lines += [_aim_line(case, aim, row, results) for row in rows]
    return [*lines, ""] if len(lines) > 4 else []


def _aim_line(case: Case, aim: Aim, row: str, results: Mapping[str, CaseResult]) -> str:
    column = next(column for column in case.columns if column.figure == aim.figure)
    samples = results[case.name].samples[row]
    found: Spread | None
    if aim.against is None:
        found = spread(samples, aim.figure)
        figure, scale, digits = column.title, column.scale, column.digits
    else:
        other = results.get(aim.case or case.name)
        bases = other.samples.get(aim.against if aim.case is None else row, []) if other else []
        found = ratio(samples, bases, aim.figure)
        against = row_named(aim.against).title if aim.case is None else f"the same in `{aim.case}`"
        figure, scale, digits = f"{column.title.partition(',')[0]} ÷ {against}", 1.0, 3
    verdict = "no figure"
    if found is not None:
        verdict = _verdict(aim, found.median)
    bounds = [
        _number(bound * scale, digits) if bound is not None else "–" for bound in (aim.at_most, aim.aim)
    ]
    return (
        f"| `{case.name}`, {row_named(row).title} | {figure} | {bounds[0]} | {bounds[1]} "
        f"| {_shown(found, scale, digits)} | {verdict} |"
    )


def _verdict(aim: Aim, measured: float) -> str:
    if aim.at_most is None:
        return "aim reached" if aim.aim is not None and measured <= aim.aim else "aim missed"
    if measured > aim.at_most:
        return "**missed**"
    return "reached, with the aim" if aim.aim is not None and measured <= aim.aim else "reached"


def _table(case: Case, result: CaseResult) -> list[str]:
    bases = [base for base in case.bases if base in result.samples]
    heads = [column.title for column in case.columns] + [f"÷ {row_named(base).title}" for base in bases]
    lines = [
        f"## {case.title}",
        "",
        f"`{case.name}`; load average {' → '.join(f'{load:.1f}' for load in result.load_average)}",
        "",
        f"| | {' | '.join(heads)} |",
        "|---" + "|---:" * len(heads) + "|",
    ]
    notes: list[str] = []
    for row in case.rows:
        samples = result.samples.get(row)
        if samples is None:
            if row in result.skipped:
                notes.append(f"{row_named(row).title}: left out, {result.skipped[row]}.")
            continue
        cells = [_cell(result, row, column) for column in case.columns]
        for base in bases:
            found = ratio(samples, result.samples[base], case.columns[0].figure)
            cells.append("1" if row == base else _shown(found, 1.0, 2))
        lines.append(f"| {row_named(row).title} | {' | '.join(cells)} |")
        notes += _notes(row, result)
    return [*lines, "", *notes, *([""] if notes else [])]


def _cell(result: CaseResult, row: str, column: Column) -> str:
    return _shown(spread(result.samples[row], column.figure), column.scale, column.digits)


def _notes(row: str, result: CaseResult) -> list[str]:
    """Say of one row what its figures do not: rounds that do not count, and remarks."""
    notes = []
    samples = result.samples[row]
    bad = [sample for sample in samples if not sample.is_valid]
    if bad:
        names = sorted({name for sample in bad for name in sample.faults})
        notes.append(
            f"{row_named(row).title}: {len(bad)} of {len(samples)} rounds do not count ({'; '.join(names)})."
        )
    remarks = sorted({remark for sample in samples for remark in sample.remarks})
    return notes + [f"{row_named(row).title}: {remark}." for remark in remarks]


def _shown(found: Spread | None, scale: float, digits: int) -> str:
    if found is None:
        return "–"
    middle = _number(found.median * scale, digits)
    if found.count == 1:
        return middle
    return f"{middle} ({_number(found.least * scale, digits)}–{_number(found.most * scale, digits)})"


def _number(value: float, digits: int) -> str:
    return f"{value:,.{digits}f}"
