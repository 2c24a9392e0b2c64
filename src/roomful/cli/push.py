"""`roomful push URL ROOM MESSAGE`: one push to a room, from a shell.

It prints the position, and the exit code says what became of the push.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from ..core.errors import PushInDoubt, RoomfulError
from ..core.events import Event
from ..core.names import push_key

if TYPE_CHECKING:
    from argparse import _SubParsersAction

__all__ = ("add_parser", "run")

IN_DOUBT = 3


def add_parser(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "push",
        help="push an event to a room",
        description="Push an event to every member of a room, and print its position. "
        "Exit codes: 0 pushed, 1 not pushed, 2 wrong usage, 3 nobody can know.",
    )
    parser.add_argument("url", help="the hubs' layer, such as redis://localhost:6379")
    parser.add_argument("room", help="the room's name")
    parser.add_argument(
        "message", help='an event as JSON, {"type":"post","data":…}; - reads it from standard input'
    )
    parser.add_argument("--text", action="store_true", help="the message is a text that members get as it is")
    parser.add_argument(
        "--key",
        help="idempotency key of up to 200 bytes: a second push with it takes no effect for some minutes",
    )
    parser.add_argument(
        "--hold",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="wait for a server that is away (default: 0)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Push. Returns 0 when it took effect, 1 when not, 2 for a message that is no event, 3 when nobody can know."""
    from ..assembly import Producer

    text = sys.stdin.read() if args.message == "-" else args.message
    try:
        message = text if args.text else _event(text)
        if args.key is not None:
            push_key(args.key)
    except (ValueError, RoomfulError) as error:
        print(f"roomful push: {error}", file=sys.stderr)
        return 2
    try:
        with Producer(args.url, hold_s=args.hold) as producer:
            receipt = producer.push(args.room, message, key=args.key)
    except RoomfulError as error:
        print(f"roomful push: {error}", file=sys.stderr)
        return IN_DOUBT if isinstance(error, PushInDoubt) else 1
    print(f"{receipt.position}{' duplicate' if receipt.duplicate else ''}")
    return 0


def _event(text: str) -> Event:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"message is no JSON: {error}") from None
    if (
        not isinstance(value, dict)
        or not isinstance(value.get("type"), str)
        or value.keys() - {"type", "data"}
    ):
        raise ValueError('message is no event; expected {"type":"…","data":…}, or --text')
    return Event(value["type"], value.get("data"))
