"""`roomful probe`: hands its arguments to the probe, which is imported only then.

It says which extra is missing where one is.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import _SubParsersAction

__all__ = ("add_parser", "run")


def add_parser(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line; its own arguments are read by the probe, and `--help` too."""
    # No character begins an option here, so that all words reach the probe in their order, `--` among them.
    parser = commands.add_parser(
        "probe", help="load a WebSocket server and find where it breaks", prefix_chars="\0", add_help=False
    )
    parser.add_argument("argv", nargs=argparse.REMAINDER)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the probe; see its own exit codes."""
    try:
        from ..probe.command import main
    except ModuleNotFoundError as error:
        print(f"roomful probe needs {error.name}: pip install 'roomful[probe]'", file=sys.stderr)
        return 2
    return main(args.argv)
