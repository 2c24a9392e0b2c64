"""`roomful probe report` and `roomful probe compare`: views of results that lie in files. They load nothing."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from roomful.probe.compare import Refused, compare
from roomful.probe.errors import ExitCode, UsageError
from roomful.probe.page.comparison import comparison_html, comparison_markdown, comparison_text
from roomful.probe.page.files import read_result, write_view
from roomful.probe.page.views import html_of, markdown_of
from roomful.probe.results import SCHEMA
from roomful.probe.terminal import say

__all__ = ("ACTIONS", "run_saved")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see {self.prog} --help")


def run_saved(argv: Sequence[str]) -> int:
    """Run one of `ACTIONS`, the first word of the arguments; return the exit code.

    Raises:
        UsageError: the arguments make no sense, or a file is no result that this version reads.
        SystemExit: help was asked for.
    """
    return ACTIONS[argv[0]](argv[1:])


def _report(argv: Sequence[str]) -> int:
    parser = _Parser(
        prog="roomful probe report",
        description="Make a page of a result that was written with --json.",
        allow_abbrev=False,
    )
    parser.add_argument("result", metavar="RESULT", help="the file; - for standard input")
    _add_views(parser)
    space = parser.parse_args(argv)
    _check_views(space)
    if not space.html and not space.markdown:
        if space.result == "-":
            raise UsageError(
                "standard input has no name to make one from: add --html FILE or --markdown FILE"
            )
        space.html = f"{space.result.removesuffix('.json')}.html"
    result = read_result(space.result)
    texts = {space.html: html_of, space.markdown: markdown_of}
    return _write({path: make(result) for path, make in texts.items() if path})


def _compare(argv: Sequence[str]) -> int:
    parser = _Parser(
        prog="roomful probe compare",
        description="Say which cells, borders and loads of B differ from those of A, beyond the noise.",
        epilog="exit codes: 0 compared, 1 worse (with --fail-if-worse), 2 usage or not comparable, 4 nothing in common",
        allow_abbrev=False,
    )
    several = "a result, or several runs of the same with commas"
    parser.add_argument("a", metavar="A", help=f"before: {several}")
    parser.add_argument("b", metavar="B", help=f"after: {several}")
    parser.add_argument(
        "--force", action="store_true", help="compare although machines, settings or kinds of server differ"
    )
    parser.add_argument("--fail-if-worse", action="store_true", help="exit code 1 when B is worse")
    _add_views(parser)
    space = parser.parse_args(argv)
    _check_views(space)
    paths = [[path for path in side.split(",") if path] for side in (space.a, space.b)]
    if not all(paths):
        raise UsageError("a side has no file; expected roomful probe compare A.json B.json")
    a, b = ([read_result(path, schemas=(SCHEMA,)) for path in side] for side in paths)
    try:
        found = compare(a, b, force=space.force)
    except Refused as refused:
        raise UsageError(f"{refused}; --force compares all the same") from refused
    out = sys.stderr if "-" in (space.html, space.markdown) else sys.stdout
    say(comparison_text(found), out)
    texts = {space.html: comparison_html, space.markdown: comparison_markdown}
    code = _write({path: make(found) for path, make in texts.items() if path})
    if not found.rows:
        return int(ExitCode.INCONCLUSIVE)
    return int(ExitCode.BREACHED) if space.fail_if_worse and found.worse else code


def _add_views(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--html", metavar="FILE", help="write the page there; - for standard output")
    parser.add_argument("--markdown", metavar="FILE", help="write Markdown there; - for standard output")


def _check_views(space: argparse.Namespace) -> None:
    if space.html and space.html == space.markdown:
        raise UsageError(f"--html and --markdown both name {space.html}")


def _write(views: dict[str, str]) -> int:
    written = [write_view(path, text) for path, text in views.items()]
    return int(ExitCode.PASS) if all(written) else int(ExitCode.INCONCLUSIVE)


ACTIONS = {"report": _report, "compare": _compare}
"""What the first word of the arguments may be, and what it does."""
