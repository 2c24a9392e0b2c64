"""The command: `python -m bench`, or `make bench ARGS="--case fanout --quick"`."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from bench.cases import CASES, Case
from bench.certificate import write_certificate
from bench.results import case_from_json
from bench.rows import FOLDER, ROWS
from bench.run import Plan
from bench.session import Session, write_views

_DESCRIPTION = "Measure Roomful beside other servers, on this machine and in one run."
_RESULTS = FOLDER / "bench" / "results"


def main(arguments: list[str] | None = None) -> int:
    """Run; return 0 when each row of ours gave a figure in each case, 1 when not, 2 when it cannot run."""
    args = _parser().parse_args(arguments)
    if args.render is not None:
        data = json.loads(args.render.read_text())
        write_views(data, [case_from_json(case) for case in data["cases"]], args.render.with_suffix(""))
        return 0
    if args.list:
        for case in CASES:
            print(f"{case.name:<20} {case.title}")
        print()
        for row in ROWS:
            print(f"{row.name:<20} {row.title}: {row.missing(args.python) or 'there'}")
        return 0
    cases = [case for case in CASES if not args.case or any(case.name.startswith(name) for name in args.case)]
    cores = sorted(os.sched_getaffinity(0))
    if not cases or len(cores) < 2:
        print(
            "error: no case has such a name (see --list)" if not cases else "error: two cores are needed",
            file=sys.stderr,
        )
        return 2
    return _run(args, cases, cores)


def _run(args: argparse.Namespace, cases: list[Case], cores: list[int]) -> int:
    # Servers are stopped on the way out, also when the harness is told to end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    server_core = cores[0] if args.server_core is None else args.server_core
    load_core = cores[-1] if args.load_core is None else args.load_core
    os.sched_setaffinity(0, {load_core})
    with TemporaryDirectory(prefix="bench-") as folder:
        certificate = Path(folder) / "certificate.pem"
        write_certificate(certificate)
        return _run_session(args, cases, server_core, certificate)


def _run_session(args: argparse.Namespace, cases: list[Case], core: int, certificate: Path) -> int:
    plan = Plan(
        rounds=args.rounds or (2 if args.quick else 5),
        seconds=args.seconds or (0.4 if args.quick else 1.0),
        core=core,
        python=args.python,
        rows=frozenset(args.row or ()),
        certificate=certificate,
    )
    session = Session(cases, plan, args.out, command=_command(args))
    return uvloop.run(session.run())


def _command(args: argparse.Namespace) -> str:
    """Return the command that would repeat the run elsewhere, without the places of this machine."""
    words = [f"--{name} {value}" for name in ("case", "row") for value in getattr(args, name) or ()]
    words += ["--quick"] if args.quick else []
    words += [f"--{name} {value}" for name in ("rounds", "seconds") if (value := getattr(args, name))]
    return f'make bench ARGS="{" ".join(words)}"' if words else "make bench"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=_DESCRIPTION)
    parser.add_argument(
        "--case", action="append", metavar="NAME", help="only cases whose name begins like this"
    )
    parser.add_argument(
        "--row", action="append", metavar="NAME", choices=[row.name for row in ROWS], help="only this server"
    )
    parser.add_argument("--quick", action="store_true", help="two short rounds: a look, not a result")
    parser.add_argument("--rounds", type=int, help="how often each server has its turn (default: 5)")
    parser.add_argument("--seconds", type=float, help="how long a turn is measured (default: 1.0)")
    parser.add_argument("--python", default=sys.executable, help="the servers' Python (default: this one)")
    parser.add_argument("--server-core", type=int, help="default: the first that may be used")
    parser.add_argument("--load-core", type=int, help="default: the last that may be used")
    parser.add_argument(
        "--out", type=Path, default=_RESULTS, help="folder of the results (default: bench/results)"
    )
    parser.add_argument(
        "--render", type=Path, metavar="JSON", help="only write table and picture of an earlier run"
    )
    parser.add_argument("--list", action="store_true", help="say which cases and rows there are")
    return parser


if __name__ == "__main__":
    sys.exit(main())
