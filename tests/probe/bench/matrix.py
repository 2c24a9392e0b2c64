"""Which cause the probe names for which planted fault: the confusion matrix.

`python -m tests.probe.bench.matrix --runs 10` runs every server of `examples/broken` so often with `--quick`, prints
the matrix, and writes it and what was named in each run to `build/`. With `--resume` it goes on from there: a server
has as many runs in the end as were asked for, and those of others stay.
"""

# ruff: noqa: T201  # a program prints

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from roomful.probe.diagnosis import diagnose
from tests.probe.broken import BROKEN, Broken, missing

__all__ = ("Named", "judge", "run_one")

_START_S = 20.0
_MOST_S = 300.0


@dataclass(frozen=True, slots=True)
class Named:
    """What was named in one run.

    Attributes:
        server: Whose.
        causes: Ids of what was named, the proven ones too.
        proven: Ids of what was proven.
        status: Of the whole diagnosis.
        seconds: How long it took.
        verdict: `right`, `undetermined` (nothing wrong was named, but not all that is true) or `wrong`.
        elsewhere: The same of what the probe saw of the server from outside, as if it ran on another machine.
    """

    server: str
    causes: tuple[str, ...]
    proven: tuple[str, ...]
    status: str
    seconds: float
    verdict: str
    elsewhere: str


def judge(broken: Broken, causes: set[str]) -> str:
    """Compare what was named with what is true."""
    if causes - broken.causes - broken.also:
        return "wrong"
    return "right" if broken.causes <= causes else "undetermined"


def run_one(
    broken: Broken,
    *,
    knobs: bool = False,
    extra: tuple[str, ...] = (),
    keep: Path | None = None,
) -> Named:
    """Probe a server once, as a user would.

    Args:
        broken: Which.
        knobs: Whether the probe may turn its knob.
        extra: More options.
        keep: Folder for the results of runs that were not right.
    """
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "result.json"
        options = ["--quick", "--quiet", "--json", str(path), *broken.options, *extra]
        if knobs and broken.knob is not None:
            options += ["--knob", broken.knob]
        server = [sys.executable, "-m", f"examples.broken.{broken.name}"]
        command = [*broken.before, sys.executable, "-m", "roomful.probe", "run", *options, "--", *server]
        errors = _run(command)
        result: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    diagnosis = result.get("diagnosis") or {"findings": [], "status": f"failed: {errors[-200:]}"}
    causes = {each["cause"] for each in diagnosis["findings"] if each["cause"]}
    verdict = judge(broken, causes)
    if keep is not None and verdict != "right":
        keep.mkdir(parents=True, exist_ok=True)
        name = f"{broken.name}-{verdict}-{time.time_ns()}.json"
        (keep / name).write_text(json.dumps(result | {"stderr": errors[-2000:]}))
    proven = {each["cause"] for each in diagnosis["findings"] if each["status"] == "proven"}
    return Named(
        broken.name,
        tuple(sorted(causes)),
        tuple(sorted(proven)),
        diagnosis["status"],
        round(time.monotonic() - began, 1),
        verdict,
        judge(broken, set(diagnose(from_elsewhere(result)).causes) if result else set()),
    )


def from_elsewhere(result: dict[str, Any]) -> dict[str, Any]:
    """Return a result without all that is only seen on the server's machine."""
    evidence = result.get("evidence", {})
    inside = ("processes", "memory", "cgroup", "redis", "accept_queue", "stacks", "pressure", "net")
    samples = {name: each for name, each in evidence.get("samples", {}).items() if name not in inside}
    questions = dict(result.get("questions", {}))
    if "lone" in questions:
        rounds = [each | {"cpu_s": None, "waited_s": None} for each in questions["lone"]["rounds"]]
        questions["lone"] = questions["lone"] | {"rounds": rounds}
    if "storm" in questions:
        in_turn = questions["storm"]["in_turn"] | {"descriptors": None, "descriptor_limit": None}
        unseen = {"in_turn": in_turn, "listen_overflows": None, "backlog": None}
        questions["storm"] = questions["storm"] | unseen
    target = result["target"] | {"url": "ws://server.example/"}
    return result | {"evidence": {"samples": samples}, "questions": questions, "target": target}


def _run(command: list[str]) -> str:
    """Run a command and return what it wrote to standard error; one that hangs is asked to end, its server with it."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        try:
            return process.communicate(timeout=_MOST_S)[1]
        except subprocess.TimeoutExpired:
            process.terminate()
            return process.communicate(timeout=_START_S)[1]


def read(path: Path) -> list[Named]:
    """Return the runs that a file has; none where there is no file."""
    if not path.exists():
        return []
    each: list[dict[str, Any]] = json.loads(path.read_text())
    return [Named(**one | {name: tuple(one[name]) for name in ("causes", "proven")}) for one in each]


def table(named: list[Named]) -> Iterator[str]:
    """Return the matrix as Markdown: a row for each server, a column for each outcome."""
    yield "| server | is | runs | right | undetermined | wrong | named | from elsewhere |"
    yield "|---|---|---|---|---|---|---|---|"
    for broken in BROKEN:
        mine = [each for each in named if each.server == broken.name]
        if not mine:
            continue
        verdicts = Counter(each.verdict for each in mine)
        seen = Counter(
            cause + (" (proven)" if cause in each.proven else "") for each in mine for cause in each.causes
        )
        shown = ", ".join(f"{cause} {count}" for cause, count in seen.most_common()) or "nothing"
        true = ", ".join(sorted(broken.causes)) or "sound"
        counts = " | ".join(str(verdicts[each]) for each in ("right", "undetermined", "wrong"))
        outside = ", ".join(
            f"{word} {count}" for word, count in sorted(Counter(each.elsewhere for each in mine).items())
        )
        yield f"| {broken.name} | {true} | {len(mine)} | {counts} | {shown} | {outside} |"


def main() -> int:
    """Run all; 1 when something wrong was named, or something sound was blamed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--knobs", action="store_true", help="prove what is named")
    parser.add_argument("--resume", action="store_true", help="keep the runs that are written already")
    parser.add_argument("--out", default="build/probe-matrix")
    space = parser.parse_args()
    chosen = []
    for broken in BROKEN:
        if space.only and broken.name not in space.only:
            continue
        why = missing(broken)
        if why is None:
            chosen.append(broken)
        else:
            print(f"left out: {broken.name}: {why}", flush=True)
    out = Path(space.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    named = read(out.with_suffix(".json")) if space.resume else []
    there = Counter(each.server for each in named)
    for number in range(space.runs):
        for broken in chosen:
            if number < there[broken.name]:
                continue
            one = run_one(broken, knobs=space.knobs, keep=out.with_suffix(""))
            named.append(one)
            print(f"{number + 1}/{space.runs} {one.verdict:<12} {one.server:<18} {one.status:<13} ", end="")
            print(f"{', '.join(one.causes) or 'nothing'}  {one.seconds} s", flush=True)
            out.with_suffix(".json").write_text(json.dumps([asdict(each) for each in named], indent=1) + "\n")
    text = "\n".join(table(named))
    out.with_suffix(".md").write_text(text + "\n")
    print(f"\n{text}")
    truth = {broken.name: broken.causes | broken.also for broken in BROKEN}
    bad = [each for each in named if set(each.proven) - truth[each.server]]
    blamed = [each for each in named if not truth[each.server] and each.causes]
    return 1 if bad or blamed or any("wrong" in (each.verdict, each.elsewhere) for each in named) else 0


if __name__ == "__main__":
    sys.exit(main())
