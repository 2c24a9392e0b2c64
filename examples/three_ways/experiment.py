"""The experiment: each server gets images of many sizes, in many numbers, and the ledger says what became of them.

Everything is measured by `roomful probe`, in processes of its own; here it is only asked, and what it says is kept.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from examples.three_ways.servers import SERVERS, Server, missing, redis_server

__all__ = ("FULL", "QUICK", "SCHEMA", "Plan", "experiment")

Json: TypeAlias = "dict[str, object]"

SCHEMA: Final = "roomful.three-ways/1"
_ROOT: Final = Path(__file__).parents[2]
_KB: Final = 1024
_MOST_BYTES: Final = 256 * _KB * _KB
"""No more is sent at once: with four receivers a gigabyte comes back, which a loopback takes a second or two for."""
_CLIENTS: Final = 4
_PATIENCE: Final = "30s"
_WORKERS: Final = 2
_SHARED_CLIENTS: Final = 32
"""So many that the kernel gives some to each process; of eight all may go to one."""
_RUN_S: Final = 240.0
_SAMPLE_S: Final = 0.2
"""Between two samples of the probe's evidence."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is tried.

    Attributes:
        sizes: Of an image, in bytes.
        numbers: Of images that are sent at once.
        search_s: For the highest rates of one server.
        search_sizes: Sizes for which they are searched.
        steady_s: How long two processes are watched, and how long the CPU of a delivery is measured.
    """

    sizes: tuple[int, ...]
    numbers: tuple[int, ...]
    search_s: float
    search_sizes: tuple[int, ...]
    steady_s: float


FULL: Final = Plan(
    sizes=(16 * _KB, 256 * _KB, 2 * _KB * _KB, 8 * _KB * _KB),
    numbers=(10, 30, 100, 300, 1000),
    search_s=24.0,
    search_sizes=(16 * _KB, 256 * _KB, 2 * _KB * _KB),
    steady_s=4.0,
)
QUICK: Final = Plan(
    sizes=(16 * _KB, 256 * _KB),
    numbers=(10, 300),
    search_s=6.0,
    search_sizes=(16 * _KB,),
    steady_s=1.0,
)


def experiment(plan: Plan, *, only: tuple[str, ...] = (), keep: Path | None = None) -> Json:
    """Run all of it; return what `report` reads.

    Args:
        plan: How much.
        only: Names of servers; none for all.
        keep: Where the whole results of the probe go too.
    """
    found: list[Json] = []
    machine: object = None
    with redis_server() as redis_url:
        for server in SERVERS:
            if only and server.name not in only:
                continue
            lacking = missing(server)
            if lacking or (server.redis and redis_url is None):
                found.append(
                    {"name": server.name, "title": server.title, "left_out": ", ".join(lacking) or "no Redis"}
                )
                continue
            probe = _Probe(server, redis_url, keep)
            found.append(
                {
                    "name": server.name,
                    "title": server.title,
                    "command": " ".join(server.words()[1:]),
                    "lines": _lines(server),
                    "bursts": _bursts(probe, plan),
                    "search": _search(probe, plan),
                    "costs": _costs(probe, plan),
                    "shared": _shared(probe, plan),
                    "diagnoses": probe.diagnoses,
                }
            )
            machine = machine or probe.machine
    _say("what a full receive buffer does")
    buffers = _run(["buffers"], {})
    return {
        "schema": SCHEMA,
        "machine": machine,
        "clients": _CLIENTS,
        "workers": _WORKERS,
        "plan": {
            "sizes": list(plan.sizes),
            "numbers": list(plan.numbers),
            "most_bytes": _MOST_BYTES,
            "patience": _PATIENCE,
            "search_s": plan.search_s,
        },
        "servers": found,
        "buffers": buffers,
    }


class _Probe:
    """Asks the probe about one server, started anew each time."""

    def __init__(self, server: Server, redis_url: str | None, keep: Path | None) -> None:
        self.server = server
        self.machine: object = None
        self.diagnoses: list[Json] = []
        self._keep = keep
        # The others must not find it: their layer lies in memory.
        self._environment = {"REDIS_URL": redis_url} if server.redis and redis_url else {}

    def ask(self, label: str, options: list[str], *, workers: int = 1) -> Json:
        """Return the probe's result, or what it said instead."""
        _say(f"{self.server.name}: {label}")
        arguments = ["run", "--path", self.server.path, "--payload", "jpeg", "--mode", "broadcast", *options]
        result = _run([*arguments, "--", *self.server.words(workers=workers)], self._environment)
        if self._keep is not None:
            name = f"{self.server.name}-{label.replace(' ', '-')}.json"
            (self._keep / name).write_text(json.dumps(result) + "\n")
        self.machine = result.get("machine") or self.machine
        findings = _object(result.get("diagnosis")).get("findings")
        for finding in findings if isinstance(findings, list) else []:
            # What has no cause is a symptom, and those the figures show.
            if finding["cause"] is not None and finding["symptom"]["id"] != "slow":
                said = {name: finding[name] for name in ("cause", "status", "sentence")}
                self.diagnoses.append({"label": label, **said})
        return result


def _bursts(probe: _Probe, plan: Plan) -> list[Json]:
    """Send each number of images of each size at once, a fresh server for each number."""
    found: list[Json] = []
    for number in plan.numbers:
        sizes = [size for size in plan.sizes if size * number <= _MOST_BYTES]
        options = ["--size", ",".join(map(str, sizes)), "--clients", str(_CLIENTS), "--rate", str(number)]
        options += ["--burst", str(number), "--duration", "1s", "--deadline", _PATIENCE]
        result = probe.ask(f"{number} at once", options)
        found += [_trial(trial) for trial in _of_purpose(result, "load")]
        if "failure" in result:
            found.append({"number": number, "failure": result["failure"]})
    return found


def _search(probe: _Probe, plan: Plan) -> Json:
    options = ["--size", ",".join(map(str, plan.search_sizes)), "--clients", "1,10", "--max-burst", "0"]
    result = probe.ask("highest rates", [*options, "--time", f"{plan.search_s:g}s"])
    return {
        "cells": result.get("cells", []),
        "cliffs": result.get("cliffs", []),
        "memory_bytes": _most_memory(result),
        "failure": result.get("failure"),
    }


def _costs(probe: _Probe, plan: Plan) -> list[Json]:
    """Return how much CPU the server's processes need for one image to one client, at a rate that is easy for all."""
    sizes = ",".join(map(str, plan.search_sizes[:2]))
    options = ["--size", sizes, "--clients", "10", "--rate", "30", "--duration", f"{plan.steady_s:g}s"]
    result = probe.ask("a steady rate", options)
    used = _cpu(result)
    costs: list[Json] = []
    for trial in _of_purpose(result, "load"):
        began, ended, arrived = (trial.get(name) for name in ("began_at_s", "ended_at_s", "arrived"))
        if not (
            isinstance(began, float) and isinstance(ended, float) and isinstance(arrived, int) and arrived
        ):
            continue
        inside = [seconds for at_s, seconds in used if began - _SAMPLE_S <= at_s <= ended + _SAMPLE_S]
        if len(inside) > 1:
            cost = {
                "size": _object(trial.get("spec")).get("size"),
                "cpu_s": (inside[-1] - inside[0]) / arrived,
            }
            costs.append(cost | {"outcome": trial.get("outcome")})
    return costs


def _cpu(result: Json) -> list[tuple[float, float]]:
    """Return when the server's processes had used how much CPU together."""
    samples = _object(_object(result.get("evidence")).get("samples")).get("processes")
    used = []
    for sample in samples if isinstance(samples, list) else []:
        each = [process["cpu_s"] for process in sample["processes"]]
        used.append((float(sample["t_s"]), float(sum(each))))
    return used


def _shared(probe: _Probe, plan: Plan) -> Json:
    """Serve with two processes, and see how much of what some send the others get."""
    load = {"size": plan.sizes[0], "clients": _SHARED_CLIENTS, "rate": 20, "duration": f"{plan.steady_s:g}s"}
    options = [word for name, value in load.items() for word in (f"--{name}", str(value))]
    result = probe.ask("two processes", options, workers=_WORKERS)
    trials = _of_purpose(result, "load")
    if not trials:
        return {"failure": result.get("failure", "nothing was measured")}
    return {
        "owed": trials[0].get("owed"),
        "arrived": trials[0].get("arrived"),
        "counts": trials[0].get("counts"),
    }


def _trial(trial: Json) -> Json:
    """Return what the report needs of a load."""
    spec, latency = _object(trial.get("spec")), _object(trial.get("latency"))
    closes = trial.get("closes")
    return {
        "number": spec.get("count"),
        "size": spec.get("size"),
        "owed": trial.get("owed"),
        "arrived": trial.get("arrived"),
        "counts": trial.get("counts"),
        "outcome": trial.get("outcome"),
        "reasons": trial.get("reasons"),
        "unmarked": trial.get("unmarked"),
        "closes": closes[:3] if isinstance(closes, list) else [],
        "closed": len(closes) if isinstance(closes, list) else 0,
        "p50_s": latency.get("p50_s"),
        "max_s": latency.get("max_s"),
        "late_s": _object(trial.get("generator")).get("late_p99_s"),
    }


def _of_purpose(result: Json, purpose: str) -> list[Json]:
    trials = result.get("trials")
    return [
        trial
        for trial in (trials if isinstance(trials, list) else [])
        if _object(_object(trial).get("spec")).get("purpose") == purpose
    ]


def _most_memory(result: Json) -> int | None:
    """Return the most that the server's processes had together."""
    samples = _object(_object(result.get("evidence")).get("samples")).get("processes")
    most = 0
    for sample in samples if isinstance(samples, list) else []:
        processes = _object(sample).get("processes")
        sizes = [
            _object(each).get("rss_bytes") for each in (processes if isinstance(processes, list) else [])
        ]
        most = max(most, sum(size for size in sizes if isinstance(size, int)))
    return most or None


def _object(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def _run(arguments: list[str], environment: dict[str, str]) -> Json:
    """Run the probe once; a run that fails leaves what it said."""
    with tempfile.TemporaryDirectory(prefix="three-ways-") as folder:
        path = Path(folder) / "result.json"
        place = arguments.index("--") if "--" in arguments else len(arguments)
        own = [*arguments[:place], "--quiet", "--json", str(path), *arguments[place:]]
        try:
            done = subprocess.run(  # noqa: S603 -- no shell, and the words are ours
                [sys.executable, "-m", "roomful.probe", *own],
                cwd=_ROOT,
                env=os.environ | environment,
                capture_output=True,
                text=True,
                timeout=_RUN_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return {"failure": f"no result within {_RUN_S:g} s"}
        result: Json = json.loads(path.read_text()) if path.exists() else {}
        if not result or (not result.get("complete", True) and not result.get("trials")):
            result["failure"] = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        return result


def _lines(server: Server) -> int:
    """Return how many lines the program has that are neither empty nor words for people."""
    module = next(word for word in server.command if word.startswith("examples.")).partition(":")[0]
    text = (_ROOT / f"{module.replace('.', '/')}.py").read_text()
    code = text.split('"""', 2)[2]
    return sum(1 for line in code.splitlines() if line.strip() and not line.strip().startswith(("#", '"""')))


def _say(text: str) -> None:
    print(f"three ways: {text}", flush=True)
