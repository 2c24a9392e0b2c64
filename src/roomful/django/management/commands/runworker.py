"""`manage.py runworker thumbnails mail`: runs the consumers of named channels.

The application is that of `ASGI_APPLICATION`, which needs a `ChannelNameRouter` for scopes of the type `channel`.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
from typing import TYPE_CHECKING, Any, Final

from channels import DEFAULT_CHANNEL_LAYER
from channels.layers import get_channel_layer
from channels.routing import get_default_application
from django.core.management.base import CommandError

from ...worker import Worker

if TYPE_CHECKING:
    from ...untyped import Untyped as BaseCommand
else:
    from django.core.management.base import BaseCommand

__all__ = ("Command",)

logger: Final = logging.getLogger("roomful.django.worker")


class Command(BaseCommand):
    """Runs the consumers of named channels."""

    help: str = "Runs the consumers of named channels until it is told to stop."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the arguments."""
        parser.add_argument("channels", nargs="+", help="channels to receive from")
        parser.add_argument(
            "--layer", default=DEFAULT_CHANNEL_LAYER, help="alias in CHANNEL_LAYERS (default: %(default)s)"
        )
        parser.add_argument(
            "--concurrency",
            type=_count,
            default=1,
            help="messages of one channel that are handled at the same time (default: %(default)s)",
        )
        parser.add_argument(
            "--grace",
            type=float,
            default=30.0,
            help="seconds for handlers to end when it is told to stop (default: %(default)g)",
        )

    def handle(self, *_: Any, **options: Any) -> None:
        """Run.

        Raises:
            CommandError: There is no such layer, or handlers did not end in time.
        """
        layer = get_channel_layer(options["layer"])
        if layer is None:
            raise CommandError(f"CHANNEL_LAYERS has no layer {options['layer']!r}")
        if not asyncio.run(self._run(layer, options)):
            raise CommandError(f"handlers did not end within {options['grace']:g} s, and were cancelled")

    async def _run(self, layer: Any, options: dict[str, Any]) -> bool:
        worker = Worker(
            get_default_application(), options["channels"], layer, concurrency=options["concurrency"]
        )
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, worker.stop)
        self.stdout.write(f"Worker on {', '.join(options['channels'])} (Ctrl-C ends)")
        self.stdout.flush()
        try:
            return await worker.run(grace_s=options["grace"])
        finally:
            close = getattr(layer, "close_pools", None)
            if close is not None:
                await close()


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"number is {text!r}; expected 1 or more")
    return int(text)
