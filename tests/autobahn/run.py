"""Run the public Autobahn test suite against our server: `python tests/autobahn/run.py --cache DIR`.

The suite is Python 2 code, so it needs a CPython 2.7; what it needs beside that is installed into the cache, once.
Cases 12 and 13 are about compression, which we do not negotiate. Exit code: 0 when nothing failed, 1 otherwise.
"""

# ruff: noqa: T201  # a command prints

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = ("autobahntestsuite", "autobahn==0.10.9", "twisted==20.3.0", "klein==20.6.0")
EXCLUDED: Final = ("12.*", "13.*")
AGENTS: Final = ("asgi", "adopted")

# Which of them it hits changes from run to run, with the timing. An adopted socket answers in the read itself.
_LATE_ECHO: Final = (
    "a frame that breaks the protocol comes in one read with the message before it, "
    "so the connection fails (RFC 6455 §7.1.7) before the application's task has answered"
)
# Results that are right though the suite would have them otherwise; any other that is not OK fails the run.
EXPLAINED: Final[dict[tuple[str, str], str]] = {
    ("asgi", case): _LATE_ECHO
    for case in ("3.2", "3.3", "3.4", "4.1.3", "4.1.4", "4.1.5", "4.2.3", "4.2.4", "4.2.5", "5.15")
}


def main() -> int:
    """Run the cases and print what is not OK."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--cache", type=Path, required=True, help="folder for the suite and its reports")
    arguments.add_argument("--python2", default="python2.7", help="a CPython 2.7 with pip")
    arguments.add_argument("--cases", nargs="*", default=["*"], help="such as 5.* 7.1.5")
    arguments.add_argument("--loop", default="uvloop", choices=("uvloop", "asyncio"))
    options = arguments.parse_args()
    suite = install(options.cache.resolve(), options.python2)
    server = start_server(options.loop)
    try:
        port = find_port(server)
        report = run_suite(options, suite, port)
    finally:
        server.terminate()
        server.wait()
    return summarise(report)


def install(cache: Path, python2: str) -> Path:
    """Install the suite unless it is there; return its folder."""
    suite = cache / "suite"
    done = suite / ".installed"
    if not done.exists():
        subprocess.run(
            [
                python2,
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--target",
                suite,
                *PACKAGES,
            ],
            check=True,
        )
        # Its zope packages are namespace packages of a kind that --target does not set up.
        (suite / "zope" / "__init__.py").touch()
        done.touch()
    return suite


def start_server(loop: str) -> subprocess.Popen[str]:
    """Start uvicorn with our class, on a port of the system's choice."""
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "uvicorn", "tests.autobahn.app:app", "--port", "0", "--loop", loop),
            *("--ws", "roomful.server:WebSocketProtocol", "--lifespan", "off", "--log-level", "info"),
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
        stderr=subprocess.PIPE,
        text=True,
    )


def find_port(server: subprocess.Popen[str]) -> int:
    """Return the port that uvicorn names, and let its further lines go."""
    assert server.stderr is not None
    for line in server.stderr:
        if found := re.search(r"running on http://127\.0\.0\.1:(\d+)", line):
            # A pipe that nobody reads would stop the server after some hundred connections.
            threading.Thread(target=server.stderr.read, daemon=True).start()
            return int(found[1])
    raise SystemExit("the server did not start")


def run_suite(options: argparse.Namespace, suite: Path, port: int) -> dict[str, dict[str, dict[str, Any]]]:
    """Run the fuzzing client; return its index: results by agent and case."""
    reports = options.cache.resolve() / "reports"
    spec = {
        "outdir": str(reports),
        "servers": [{"agent": agent, "url": f"ws://127.0.0.1:{port}/{agent}"} for agent in AGENTS],
        "cases": options.cases,
        "exclude-cases": EXCLUDED,
    }
    spec_file = options.cache / "fuzzingclient.json"
    spec_file.write_text(json.dumps(spec))
    (reports / "index.json").unlink(missing_ok=True)
    subprocess.run(
        [options.python2, "-m", "autobahntestsuite.wstest", "-m", "fuzzingclient", "-s", spec_file.resolve()],
        env={**os.environ, "PYTHONPATH": str(suite)},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    index: dict[str, dict[str, dict[str, Any]]] = json.loads((reports / "index.json").read_text())
    return index


def summarise(report: dict[str, dict[str, dict[str, Any]]]) -> int:
    """Print the counts and each result that is not OK; return the exit code."""
    unexplained = 0
    for agent, cases in report.items():
        counts = Counter(one["behavior"] for one in cases.values())
        closes = Counter(one["behaviorClose"] for one in cases.values())
        print(f"{agent}: {dict(counts)}; closing: {dict(closes)}")
        for case, one in sorted(cases.items(), key=lambda item: [int(part) for part in item[0].split(".")]):
            verdicts = {one["behavior"], one["behaviorClose"]}
            if verdicts <= {"OK"}:
                continue
            reason = EXPLAINED.get((agent, case)) or (
                "the suite states no expectation" if "INFORMATIONAL" in verdicts else ""
            )
            print(f"  {case}: {one['behavior']}, closing {one['behaviorClose']}: {reason or 'not explained'}")
            unexplained += not reason
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
