"""The worker: runs an application for the messages of named channels, outside the web processes.

Each channel has a few instances of the application; one takes its next message when it has handled the last. What is
not taken stays in the channel, for another worker or for later.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, Final, TypeAlias

from channels.exceptions import StopConsumer

__all__ = ("Worker",)

logger: Final = logging.getLogger("roomful.django.worker")

Event: TypeAlias = MutableMapping[str, Any]
App: TypeAlias = Callable[
    [Event, Callable[[], Awaitable[Event]], Callable[[Event], Awaitable[None]]], Awaitable[None]
]

_PAUSE_S: Final = 0.5
"""Time before an application that failed is started again, so that one that always fails does not spin."""


class Worker:
    """Runs until it is stopped.

    Args:
        app: The application; its scopes are `{"type": "channel", "channel": name}`.
        channels: The channels.
        layer: The channel layer.
        concurrency: Instances for each channel, and so messages of one channel that are handled at the same time.
    """

    def __init__(self, app: App, channels: Sequence[str], layer: Any, *, concurrency: int = 1) -> None:
        self._app = app
        self._channels = tuple(channels)
        self._layer = layer
        self._concurrency = concurrency
        self._stopping = asyncio.Event()
        self.running = 0
        self.handled = 0

    async def run(self, *, grace_s: float) -> bool:
        """Handle messages until `stop` is called; return whether all handlers have ended within `grace_s` after it.

        Raises:
            Exception: The layer cannot be used.
        """
        for channel in self._channels:
            self._layer.require_valid_channel_name(channel)
        instances = [
            asyncio.ensure_future(self._instances(channel))
            for channel in self._channels
            for _ in range(self._concurrency)
        ]
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait((*instances, stopping), return_when=asyncio.FIRST_COMPLETED)
            _, left = await asyncio.wait(instances, timeout=grace_s if stopping.done() else 0)
        finally:
            for task in (*instances, stopping):
                task.cancel()
            await asyncio.wait((*instances, stopping))
        for instance in instances:
            if not instance.cancelled():
                instance.result()
        return not left

    def stop(self) -> None:
        """Take no more messages; what is being handled goes on."""
        self._stopping.set()

    async def _instances(self, channel: str) -> None:
        while not self._stopping.is_set():
            failed = False
            try:
                await self._app({"type": "channel", "channel": channel}, self._receiver(channel), _refuse)
            except StopConsumer:
                pass
            except _LayerFailed as failure:
                raise failure.error from None
            except Exception:
                logger.exception("channel %s: its application failed", channel)
                failed = True
            if failed:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), _PAUSE_S)

    def _receiver(self, channel: str) -> Callable[[], Awaitable[Event]]:
        async def receive() -> Event:
            if self._stopping.is_set():
                raise StopConsumer
            receiving = asyncio.ensure_future(self._layer.receive(channel))
            stopping = asyncio.ensure_future(self._stopping.wait())
            try:
                await asyncio.wait((receiving, stopping), return_when=asyncio.FIRST_COMPLETED)
                if receiving.done():
                    try:
                        message: Event = receiving.result()
                    except Exception as error:
                        raise _LayerFailed(error) from error
                    self.handled += 1
                    return message
                raise StopConsumer
            finally:
                for task in (receiving, stopping):
                    task.cancel()
                await asyncio.wait((receiving, stopping))

        return receive


class _LayerFailed(Exception):
    """Tells an error of the layer from one of the application."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


async def _refuse(event: Event) -> None:
    raise ValueError(
        f"a worker's application sent {event.get('type')!a:.100}; a channel has nobody to send to"
    )
