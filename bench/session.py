"""The session: all cases of one command, and what is written of them."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.cases import Case
from bench.load.pump import PumpCarrier
from bench.machine import describe, load_average
from bench.native import build_counter
from bench.picture import svg
from bench.report import markdown
from bench.results import FORMAT, case_to_json
from bench.run import CaseResult, Plan, run_case

__all__ = ("Session", "write_views")


class Session:
    """Runs cases, and after each writes `latest.json`, `latest.md` and `latest.svg`.

    Args:
        cases: Which.
        plan: How.
        folder: Where the results go.
        command: What the user said.
    """

    def __init__(self, cases: Sequence[Case], plan: Plan, folder: Path, *, command: str) -> None:
        self._cases = cases
        self._plan = plan
        self._folder = folder
        self._command = command
        self._results: list[CaseResult] = []

    async def run(self) -> int:
        """Run; return 0 when each row of ours that took part gave a figure."""
        began = time.monotonic()
        about: dict[str, object] = {
            "format": FORMAT,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": self._command,
            "load_average": load_average(),
            "rounds": self._plan.rounds,
            "counting": "counted in the process, by a library that is preloaded"
            if build_counter()
            else "not counted",
            "loading": "in C, which never sleeps"
            if PumpCarrier.is_there()
            else "in Python, as no compiler was found",
            "seconds": self._plan.seconds,
            **describe(self._plan.python),
        }
        for case in self._cases:
            print(f"# {case.title}", flush=True)
            self._results.append(await run_case(case, self._plan, lambda line: print(line, flush=True)))
            self._write({**about, "took_s": round(time.monotonic() - began)})
        silent = [
            f"{result.case}: {row}"
            for result in self._results
            for row, samples in result.samples.items()
            if not any(sample.is_valid for sample in samples)
        ]
        for line in silent:
            print(f"no figure: {line}")
        return 1 if any(": roomful" in line for line in silent) else 0

    def _write(self, about: dict[str, object]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        data = {**about, "cases": [case_to_json(result) for result in self._results]}
        (self._folder / "latest.json").write_text(json.dumps(data, indent=1) + "\n")
        write_views(data, self._results, self._folder / "latest")


def write_views(run: Mapping[str, object], results: Sequence[CaseResult], path: Path) -> None:
    """Write the table and the picture of a run beside its JSON."""
    path.with_suffix(".md").write_text(markdown(run, results))
    machine, versions = run["machine"], run["versions"]
    assert isinstance(machine, Mapping)
    assert isinstance(versions, Mapping)
    cores = f"{machine['cores']} cores of {machine['processor']}"
    about = f"{cores}, {machine['kernel']}, {versions['python']}, {run['date']}"
    path.with_suffix(".svg").write_text(svg(results, machine=about))
