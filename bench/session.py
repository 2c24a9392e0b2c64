"""The session: all cases of one command, and what is written of them."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.cases import Case
from bench.machine import describe
from bench.results import FORMAT, case_to_json
from bench.run import CaseResult, Plan, run_case

__all__ = ("Session",)


class Session:
    """Runs cases and writes `latest.json` after each.

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
        """Run; return 0 when every row that took part gave a figure."""
        began = time.monotonic()
        about: dict[str, object] = {
            "format": FORMAT,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": self._command,
            "rounds": self._plan.rounds,
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
        return 1 if silent else 0

    def _write(self, about: dict[str, object]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        data = {**about, "cases": [case_to_json(result) for result in self._results]}
        (self._folder / "latest.json").write_text(json.dumps(data, indent=1) + "\n")
