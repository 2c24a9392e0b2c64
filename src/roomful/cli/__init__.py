"""The command line: `roomful serve`, `roomful push`, `roomful probe`, `roomful --version`.

Each command is a module that is imported when it is asked for, so that one's missing extra never hinders another.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from .._version import __version__

__all__ = ("main",)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command. Returns its exit code; 2 stands for wrong usage."""
    from . import probe, push, serve

    parser = argparse.ArgumentParser(prog="roomful", description="Real-time rooms for Python web apps.")
    parser.add_argument("--version", action="version", version=f"roomful {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    serve.add_parser(commands)
    push.add_parser(commands)
    probe.add_parser(commands)
    args = parser.parse_args(argv)
    if not hasattr(args, "run"):
        parser.print_help(sys.stderr)
        return 2
    result: int = args.run(args)
    return result
