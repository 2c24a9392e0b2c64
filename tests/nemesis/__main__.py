"""`make nemesis`: a million judged deliveries, several seeds, every kind of server.

It exits with 0 when nothing was lost in silence, repeated, reordered or made up, else with 1 and with the plan that
repeats it.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import Counter
from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from roomful.core.ledger import Verdict
from roomful.testing.nemesis import Plan, Report, torture

from .subjects import IMMORTAL, LATE, SUBJECTS, subject


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make nemesis", description=__doc__)
    parser.add_argument(
        "--deliveries",
        type=int,
        default=1_000_000,
        help="judged deliveries, over all runs (default: %(default)s)",
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="(default: 1 2 3)")
    parser.add_argument(
        "--subjects", nargs="+", choices=SUBJECTS, default=list(SUBJECTS), help="(default: all)"
    )
    parser.add_argument("--clients", type=int, default=120, help="in each run (default: %(default)s)")
    parser.add_argument(
        "--rooms", type=int, default=3000, help="small rooms in each run (default: %(default)s)"
    )
    parser.add_argument(
        "--kills", type=int, default=2, help="ends of the server in each run (default: %(default)s)"
    )
    return parser.parse_args()


def plans(args: argparse.Namespace) -> Iterator[tuple[str, Plan]]:
    """Yield every run; all get the same share of the deliveries."""
    share = args.deliveries // (len(args.seeds) * len(args.subjects)) + 1
    for seed in args.seeds:
        for name in args.subjects:
            yield (
                name,
                Plan(
                    seed=seed,
                    deliveries=share,
                    clients=args.clients,
                    small_rooms=args.rooms,
                    kills=0 if name in IMMORTAL else args.kills,
                    replies_last=name not in LATE,
                ),
            )


async def run(name: str, plan: Plan, progress: Progress, task: TaskID, before: int) -> Report:
    async with subject(name) as server:
        return await torture(
            server, plan, progress=lambda arrived: progress.update(task, completed=before + arrived)
        )


def show(console: Console, reports: list[tuple[str, Report]]) -> None:
    """Print what was found, in one row for each run."""
    table = Table(
        "server",
        "seed",
        "delivered",
        "told",
        "in doubt",
        "faults",
        "breaks",
        "resumes",
        "notices",
        "lives",
        "seconds",
    )
    for name, report in reports:
        faults = Counter({**report.outbound.faults}) + Counter({**report.inbound.faults})
        found = [f"{count} {verdict.value}" for verdict, count in faults.items()]
        found += [f"{len(report.contradictions)} contradictions"] if report.contradictions else []
        found += [f"{len(report.stuck)} stuck"] if report.stuck else []
        counts = report.outbound.counts
        table.add_row(
            name,
            str(report.plan.seed),
            *(f"{counts[verdict]}" for verdict in (Verdict.DELIVERED, Verdict.TOLD, Verdict.IN_DOUBT)),
            ", ".join(found) or "0",
            f"{sum(report.breaks.values())}",
            f"{sum(report.recoveries.values())}",
            f"{sum(report.notices.values())}",
            f"{report.lives}",
            f"{report.seconds:.0f}",
        )
    console.print(table)


async def main() -> int:
    args = arguments()
    console = Console(width=None if sys.stdout.isatty() else 200)
    bar = Progress(
        TextColumn("{task.description:<24}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )
    reports: list[tuple[str, Report]] = []
    with bar as progress:
        task = progress.add_task("", total=args.deliveries)
        delivered = 0
        for name, plan in plans(args):
            progress.update(task, description=f"{name}, seed {plan.seed}")
            report = await run(name, plan, progress, task, delivered)
            delivered += report.delivered
            reports.append((name, report))
            if not report.ok:
                console.print(f"[bold red]{name}[/]: {report}", highlight=False, soft_wrap=True)
        progress.update(task, completed=delivered)
    show(console, reports)
    console.print(f"{delivered} delivered")
    return 0 if all(report.ok for _, report in reports) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
