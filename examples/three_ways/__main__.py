"""`python -m examples.three_ways`: run the experiment, and write its report."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from examples.three_ways.experiment import FULL, QUICK, experiment
from examples.three_ways.report import html, markdown
from examples.three_ways.servers import SERVERS


def main() -> int:
    """Run it; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.three_ways",
        description="Send images of many sizes and numbers to FastAPI, Channels and Roomful; see what is lost and why.",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("build/images"), help="folder (default: %(default)s)"
    )
    parser.add_argument(
        "--quick", action="store_true", help="two sizes and two numbers, in about two minutes"
    )
    parser.add_argument("--only", action="append", default=[], choices=[server.name for server in SERVERS])
    parser.add_argument("--keep", action="store_true", help="keep the probe's whole results too")
    parser.add_argument("--again", action="store_true", help="make the report of the figures that are there")
    options = parser.parse_args()
    folder: Path = options.out
    folder.mkdir(parents=True, exist_ok=True)
    figures = folder / "images.json"
    if not options.again:
        plan = QUICK if options.quick else FULL
        found = experiment(plan, only=tuple(options.only), keep=folder if options.keep else None)
        figures.write_text(json.dumps(found, indent=1) + "\n")
    found = json.loads(figures.read_text())
    (folder / "images.html").write_text(html(found))
    (folder / "images.md").write_text(markdown(found))
    print(f"three ways: wrote {figures}, images.html and images.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
