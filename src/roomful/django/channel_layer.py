"""The channel layer for Django Channels: one setting makes a project's groups ours.

    CHANNEL_LAYERS = {"default": {"BACKEND": "roomful.django.ChannelLayer", "CONFIG": {"hosts": […]}}}

A group is no room: its messages reach handlers of consumers, carry no position and are kept for nobody.
"""

from __future__ import annotations

import logging
import secrets
import time
import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, Literal, TypeAlias

from channels.exceptions import ChannelFull, InvalidChannelLayerError
from channels.layers import BaseChannelLayer

from ..hub.throttle import Throttle
from .mailbox import Mailbox, Message, Waiter
from .switchboard import Sent, Switchboard

__all__ = ("ChannelLayer", "LayerStatistics", "OnFull")

logger: Final = logging.getLogger("roomful.django")

OnFull: TypeAlias = Literal["log", "raise"]

_RESERVED: Final = "__asgi_channel__"


@dataclass(frozen=True, slots=True)
class LayerStatistics:
    """What a channel layer has done and holds in this process.

    Attributes:
        channels: Channels in which something waits, or on which somebody waits.
        groups: Groups with a member here.
        sent: Messages that were put into channels, once for each.
        full: Messages that were dropped because a channel was full, once for each.
        expired: Messages that were dropped because nobody took them in time.
    """

    channels: int
    groups: int
    sent: int
    full: int
    expired: int


class NotAMessage(TypeError, AssertionError):
    """What was sent is no message. An `AssertionError` too, as other layers raise."""


class _ChannelName(str):
    """A channel's name that tells when nobody holds it any more."""

    __slots__ = ("__weakref__",)


class ChannelLayer(BaseChannelLayer):
    """Implements the whole specification of Channels' layers, with the extensions groups and flush.

    It may be used on any loop and, through `async_to_sync`, in any thread. Messages of one sender to one channel come
    in their order. A channel is in a group until it is discarded, its consumer ends, or nobody has received from it for
    `group_expiry`; a consumer that lives loses no membership, however old it is.

    Args:
        hosts: Redis servers, as channels_redis takes them. Without, the layer reaches this process.
        prefix: With what the names of its keys begin.
        expiry: Seconds for which a message waits to be received.
        group_expiry: Seconds without a receiver after which a channel falls out of its groups.
        capacity: Messages that may wait in a channel.
        channel_capacity: Other capacities, by pattern (`"http.*"`) or compiled expression; the first match holds.
        on_full: What `group_send` does about a channel that is full: count and log it, or raise `ChannelFull` after
            the others have got the message.
        clock: The time in seconds, from any beginning.

    Raises:
        InvalidChannelLayerError: The configuration cannot work.
    """

    extensions: ClassVar = ["groups", "flush"]

    def __init__(
        self,
        hosts: Iterable[object] | str | None = None,
        *,
        prefix: str = "asgi",
        expiry: float = 60,
        group_expiry: float = 86400,
        capacity: int = 100,
        channel_capacity: Mapping[object, int] | None = None,
        on_full: OnFull = "log",
        clock: Callable[[], float] = time.monotonic,
        **unknown: object,
    ) -> None:
        if unknown:
            raise InvalidChannelLayerError(
                f"CONFIG of roomful.django.ChannelLayer has {min(unknown)!r}, which is not known; expected hosts, "
                "prefix, expiry, group_expiry, capacity, channel_capacity or on_full"
            )
        for name, value in (("expiry", expiry), ("group_expiry", group_expiry), ("capacity", capacity)):
            if not value > 0:
                raise InvalidChannelLayerError(f"{name} is {value}; expected more than 0")
        if on_full not in ("log", "raise"):
            raise InvalidChannelLayerError(f"on_full is {on_full!r}; expected 'log' or 'raise'")
        super().__init__(expiry=expiry, capacity=capacity)
        self.channel_capacity = self.compile_capacities(channel_capacity or {})
        self.prefix = prefix
        self.group_expiry = group_expiry
        self.clock = clock
        self._on_full = on_full
        self._node = secrets.token_hex(8)
        self._sent = self._full = 0
        self._throttle = Throttle()
        self._board = Switchboard(self.get_capacity, expiry_s=expiry, group_expiry_s=group_expiry)

    def __repr__(self) -> str:
        return f"<ChannelLayer {self._node}>"

    # ── Channels ──

    async def send(self, channel: str, message: Message) -> None:
        """Put a message into a channel.

        Raises:
            ChannelFull: As many messages wait there as may.
            TypeError: The name or the message is not one.
        """
        _check_message(message)
        self.require_valid_channel_name(channel)
        if not self._board.send(channel, message, self.clock()):
            self._full += 1
            raise ChannelFull(
                f"channel {channel!r} is full: {self.get_capacity(channel)} messages wait in it"
            )
        self._sent += 1

    async def receive(self, channel: str) -> Message:
        """Return the next message of a channel. Of several that wait, the first gets it.

        Cancellation: nothing is lost; a message that came meanwhile goes to the next that receives.

        Raises:
            TypeError: The name is not one.
            AssertionError: The channel belongs to another process.
        """
        self.require_valid_channel_name(channel)
        self._check_own(channel)
        return await self._board.receive(channel, self.clock)

    async def new_channel(self, prefix: str = "specific") -> str:
        """Return the name of a new channel, on which this process alone receives."""
        plain = f"{prefix}.{self._node}!{secrets.token_hex(12)}"
        self.require_valid_channel_name(plain)
        name = _ChannelName(plain)
        # A consumer that dies takes the name with it; what it left in groups must not stay.
        weakref.finalize(name, self._board.orphaned, plain).atexit = False
        return name

    # ── Groups ──

    async def group_add(self, group: str, channel: str) -> None:
        """Add a channel to a group; a second time changes nothing."""
        self.require_valid_group_name(group)
        self.require_valid_channel_name(channel)
        self._board.add(str(group), str(channel), self.clock())

    async def group_discard(self, group: str, channel: str) -> None:
        """Remove a channel from a group; not to be in it is no error."""
        self.require_valid_group_name(group)
        self.require_valid_channel_name(channel)
        self._board.discard(group, channel)

    async def group_send(self, group: str, message: Message, *, on_full: OnFull | None = None) -> None:
        """Put a message into every channel of a group. Each receiver gets a copy of its own.

        Args:
            group: The group; one without channels is no error.
            message: The message.
            on_full: What to do about channels that are full, instead of what the layer's configuration says.

        Raises:
            ChannelFull: A channel was full, and that was to be raised; all others have got the message.
            TypeError: The name or the message is not one.
        """
        _check_message(message)
        self.require_valid_group_name(group)
        sent = self._board.group_send(group, message, self.clock())
        self._sent += sent.members - sent.full
        if sent.full:
            self._tell_full(group, sent, on_full or self._on_full)

    def _tell_full(self, group: str, sent: Sent, on_full: OnFull) -> None:
        self._full += sent.full
        text = f"{sent.full} of {sent.members} channels over capacity in group {group}"
        if on_full == "raise":
            raise ChannelFull(text)
        left_out = self._throttle.admit("full", self.clock())
        if left_out == 0:
            logger.warning("%s", text)
        elif left_out is not None:
            logger.warning("%s (and %d more such lines were left out)", text, left_out)

    # ── The rest ──

    async def flush(self) -> None:
        """Forget all messages and groups."""
        self._board.clear()

    async def close(self) -> None:
        """Release what the layer holds; the next use opens it again."""

    async def close_pools(self) -> None:
        """Do what `close` does, under the name that channels_redis has for it."""
        await self.close()

    @property
    def channels(self) -> dict[str, Mailbox]:
        """The channels of this process in which something waits, or on which somebody waits."""
        return self._board.active

    @property
    def groups(self) -> dict[str, dict[str, Mailbox]]:
        """The groups with a member in this process."""
        return self._board.groups

    def statistics(self) -> LayerStatistics:
        """Return what the layer has done and holds in this process."""
        return LayerStatistics(
            channels=len(self._board.active),
            groups=len(self._board.groups),
            sent=self._sent,
            full=self._full,
            expired=self._board.expired,
        )

    # ── Consumers ──

    def listen(self, channel: str, waiter: Waiter) -> Mailbox:
        """Let a consumer take what comes straight from the mailbox, without a task that receives."""
        return self._board.listen(str(channel), waiter, self.clock())

    def hang_up(self, mailbox: Mailbox) -> None:
        """End a consumer's channel: it leaves every group, and what waits in it is dropped."""
        self._board.hang_up(mailbox)

    # ── Names ──

    def require_valid_channel_name(self, name: object, receive: bool = False) -> bool:  # noqa: FBT001, FBT002 -- as Channels has it
        """Return True for a valid channel name, else raise `TypeError`."""
        return _named(super().require_valid_channel_name, name, receive=receive)

    def require_valid_group_name(self, name: object) -> bool:
        """Return True for a valid group name, else raise `TypeError`."""
        return _named(super().require_valid_group_name, name)

    def _check_own(self, channel: str) -> None:
        head, separator, _ = channel.partition("!")
        if separator and not head.endswith(self._node):
            raise AssertionError(
                f"channel {channel!r} belongs to another process; receive on names that new_channel() of this layer "
                "has returned, or on names without an exclamation mark"
            )


def _named(check: Callable[..., bool], name: object, **options: bool) -> bool:
    try:
        return check(name, **options)
    except TypeError as error:
        raise TypeError(f"{error} Got {name!a:.120}.") from None


def _check_message(message: object) -> None:
    if not isinstance(message, dict):
        raise NotAMessage(f"message is of type {type(message).__name__}; expected a dict with a type")
    if _RESERVED in message:
        raise NotAMessage(f"message has the key {_RESERVED!r}, which belongs to channel layers")
