"""Sources: how a consumer gets what comes over its channel.

From our layer it is taken straight from the mailbox; from any other layer a task receives one message after another.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Protocol

from ..django import ChannelLayer
from ..django.letter import Message
from ..django.mailbox import Mailbox, Missed, Waiter

__all__ = ("MailboxSource", "ReceivingSource", "Source")


class Source(Protocol):
    """What comes over one channel."""

    def start(self, wake: Callable[[], None], fail: Callable[[BaseException], None]) -> None:
        """Begin.

        Args:
            wake: Called when there may be a message.
            fail: Called with the error after which no message comes any more.
        """

    @property
    def has_more(self) -> bool:
        """Whether `take` may find something at once."""

    def take(self) -> Message | Missed | None:
        """Return the next message, or what stands for those that were dropped in its place."""

    async def stop(self) -> None:
        """End; no message is taken any more."""


class MailboxSource:
    """Implements `Source` on our layer.

    Args:
        layer: The layer.
        channel: The consumer's channel; it ends with the source.
    """

    def __init__(self, layer: ChannelLayer, channel: str) -> None:
        self._layer = layer
        self._channel = channel
        self._mailbox: Mailbox | None = None

    def start(self, wake: Callable[[], None], fail: Callable[[BaseException], None]) -> None:
        """Listen; see `Source`."""
        del fail  # a mailbox does not break
        waiter = Waiter(asyncio.get_running_loop(), threading.get_ident(), wake)
        self._mailbox = self._layer.listen(self._channel, waiter)
        wake()  # for what had come before

    @property
    def has_more(self) -> bool:
        """Whether something waits; see `Source`."""
        return self._mailbox is not None and bool(self._mailbox.messages)

    def take(self) -> Message | Missed | None:
        """Take; see `Source`."""
        mailbox = self._mailbox
        return self._layer.take(mailbox) if mailbox is not None and mailbox.messages else None

    async def stop(self) -> None:
        """Leave all groups; see `Source`."""
        if self._mailbox is not None:
            self._layer.hang_up(self._mailbox)


class ReceivingSource:
    """Implements `Source` on any layer.

    Args:
        receive: Returns the channel's next message.
    """

    def __init__(self, receive: Callable[[], Awaitable[Message]]) -> None:
        self._receive = receive
        self._message: Message | None = None
        self._taken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self, wake: Callable[[], None], fail: Callable[[BaseException], None]) -> None:
        """Receive; see `Source`."""
        self._task = asyncio.Task(self._run(wake, fail), loop=asyncio.get_running_loop())

    @property
    def has_more(self) -> bool:
        """Whether something waits; see `Source`."""
        return self._message is not None

    def take(self) -> Message | Missed | None:
        """Take; see `Source`."""
        message, self._message = self._message, None
        if message is not None:
            self._taken.set()
        return message

    async def stop(self) -> None:
        """Receive no more; see `Source`."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))

    async def _run(self, wake: Callable[[], None], fail: Callable[[BaseException], None]) -> None:
        try:
            while True:
                self._message = await self._receive()
                self._taken.clear()
                wake()
                await self._taken.wait()
        except Exception as error:  # noqa: BLE001 -- raised where the messages are handled
            fail(error)
