"""The channel layer for Django Channels: one setting makes a project's groups ours.

    CHANNEL_LAYERS = {"default": {"BACKEND": "roomful.django.ChannelLayer", "CONFIG": {"hosts": […]}}}

A group is no room: its messages reach handlers of consumers, carry no position and are kept for nobody.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
import weakref
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final, Literal, TypeAlias

import msgspec
from channels.exceptions import ChannelFull, InvalidChannelLayerError, MessageTooLarge
from channels.layers import BaseChannelLayer

from ..core.errors import LayerError
from ..hub.throttle import Throttle
from .hosts import urls_of
from .letter import Message, check_message, size_of
from .mailbox import Mailbox, Missed, Waiter
from .switchboard import Sent, Switchboard

if TYPE_CHECKING:
    from .exchange import Exchange

__all__ = ("ChannelLayer", "LayerStatistics", "OnFull")

logger: Final = logging.getLogger("roomful.django")

OnFull: TypeAlias = Literal["log", "raise"]

_MANY: Final = 32
"""From so many members on, to wake them takes longer than to look whether another message has come."""
_LOOK_PASSES: Final = 4
"""Passes of the loop in which what a client has sent gets from its socket to the handler that sends it to the group."""


@dataclass(frozen=True, slots=True)
class LayerStatistics:
    """What a channel layer has done and holds in this process.

    Attributes:
        channels: Channels in which something waits, or on which somebody waits.
        groups: Groups with a member here.
        sent: Messages that were put into channels, once for each.
        full: Messages that were dropped because a channel was full, once for each.
        expired: Messages that were dropped because nobody took them in time.
        lost: How often a broken connection to Redis has cost messages that could not be read again.
    """

    channels: int
    groups: int
    sent: int
    full: int
    expired: int
    lost: int


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
        max_message_bytes: The largest message that travels between processes, encoded.
        max_channel_bytes: How large the messages that wait in a channel of this process may be together, by their texts
            and bytes. A single one always may wait.
        clock: The time in seconds, from any beginning.

    Raises:
        InvalidChannelLayerError: The configuration cannot work.
    """

    extensions: ClassVar[list[str]] = ["groups", "flush"]

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
        max_message_bytes: int = 1024 * 1024,
        max_channel_bytes: int = 16 * 1024 * 1024,
        clock: Callable[[], float] = time.monotonic,
        **unknown: object,
    ) -> None:
        if unknown:
            raise InvalidChannelLayerError(
                f"CONFIG of roomful.django.ChannelLayer has {min(unknown)!r}, which is not known; expected hosts, "
                "prefix, expiry, group_expiry, capacity, channel_capacity, on_full, max_message_bytes or "
                "max_channel_bytes"
            )
        for name, value in (
            ("expiry", expiry),
            ("group_expiry", group_expiry),
            ("capacity", capacity),
            ("max_message_bytes", max_message_bytes),
            ("max_channel_bytes", max_channel_bytes),
        ):
            if not value > 0:
                raise InvalidChannelLayerError(f"{name} is {value}; expected more than 0")
        if on_full not in ("log", "raise"):
            raise InvalidChannelLayerError(f"on_full is {on_full!r}; expected 'log' or 'raise'")
        compiled = self.compile_capacities(channel_capacity or {})
        super().__init__(expiry=expiry, capacity=capacity, channel_capacity=compiled)
        self.prefix = prefix
        self.group_expiry = group_expiry
        self.clock = clock
        self._on_full = on_full
        self._max_bytes = max_message_bytes
        self._max_channel_bytes = max_channel_bytes
        self._node = secrets.token_hex(8)
        self._sent = self._full = self._lost = 0
        self._throttle = Throttle()
        self._board = Switchboard(
            self.get_capacity, max_bytes=max_channel_bytes, expiry_s=expiry, group_expiry_s=group_expiry
        )
        urls = urls_of(hosts) if hosts else ()
        self._exchange: Exchange | None = self._make_exchange(urls) if urls else None
        self._hears_node = False

    def _make_exchange(self, urls: tuple[str, ...]) -> Exchange:
        try:
            from .exchange import Exchange  # noqa: PLC0415 -- its packages are optional

            return Exchange(
                urls,
                self.prefix,
                self._node,
                _Local(self, self._board),
                expiry_s=self.expiry,
                group_expiry_s=self.group_expiry,
            )
        except ModuleNotFoundError as error:
            raise InvalidChannelLayerError(f"hosts need {error.name}: pip install 'roomful[redis]'") from None
        except LayerError as error:
            raise InvalidChannelLayerError(f"hosts cannot be used: {error}") from None

    def __repr__(self) -> str:
        return f"<ChannelLayer {self._node}>"

    @property
    def client_prefix(self) -> str:
        """What the names of this process's channels have before their exclamation mark, as channels_redis calls it."""
        return self._node

    # ── Channels ──

    async def send(self, channel: str, message: Message) -> None:
        """Put a message into a channel.

        Raises:
            ChannelFull: As many messages or bytes wait there as may. A channel of another process has its drops counted
                and logged there.
            MessageTooLarge: It is larger than `max_message_bytes`, and for another process.
            TypeError: The name or the message is not one, or the message holds what MessagePack does not have.
            ValueError: The message is nested deeper than 100.
            LayerError: The servers cannot be reached.
        """
        check_message(message)
        self.require_valid_channel_name(channel)
        if self._exchange is not None and not self._is_own(channel):
            sending = self._exchange.send(channel, self._packed(message), self.get_capacity(channel))
            await self._exchange.run(sending)
            return
        if not self._board.send(channel, message, self.clock()):
            self._full += 1
            raise ChannelFull(
                f"channel {channel!r} is full; the limits are {self.get_capacity(channel)} messages (capacity) and "
                f"{self._max_channel_bytes} bytes (max_channel_bytes)"
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
        if self._exchange is not None and "!" not in channel:
            return await self._exchange.receive(channel)
        return await self._board.receive(channel, self.clock)

    async def new_channel(self, prefix: str = "specific") -> str:
        """Return the name of a new channel, on which this process alone receives."""
        plain = f"{prefix}.{self._node}!{secrets.token_hex(12)}"
        self.require_valid_channel_name(plain)
        if self._exchange is not None and not self._hears_node:
            await self._exchange.run(self._exchange.attach_node())
            self._hears_node = True
        name = _ChannelName(plain)
        # A consumer that dies takes the name with it; what it left in groups must not stay.
        weakref.finalize(name, self._board.orphaned, plain).atexit = False
        return name

    # ── Groups ──

    async def group_add(self, group: str, channel: str) -> None:
        """Add a channel to a group; a second time changes nothing. What is sent to the group after this reaches it."""
        self.require_valid_group_name(group)
        self.require_valid_channel_name(channel)
        exchange = self._exchange
        if exchange is None or self._is_own(channel):
            self._board.add(str(group), str(channel), self.clock())
            # It may be detached while it is attached, because the last of others has left meanwhile.
            while exchange is not None and not exchange.is_received(group):
                await exchange.run(exchange.attach_group(group))
        else:
            await exchange.run(exchange.add_member(group, channel))

    async def group_discard(self, group: str, channel: str) -> None:
        """Remove a channel from a group; not to be in it is no error."""
        self.require_valid_group_name(group)
        self.require_valid_channel_name(channel)
        exchange = self._exchange
        if exchange is not None and not self._is_own(channel):
            await exchange.run(exchange.discard_member(group, channel))
        elif self._board.discard(group, channel) and exchange is not None:
            exchange.release([group])

    async def group_send(self, group: str, message: Message, *, on_full: OnFull | None = None) -> None:
        """Put a message into every channel of a group. Each receiver gets a copy of its own.

        It gives way to the event loop where the group is large or there are hosts, so that consumers are woken once for
        what others send meanwhile.

        Args:
            group: The group; one without channels is no error.
            message: The message.
            on_full: What to do about channels that are full, instead of what the layer's configuration says.

        Raises:
            ChannelFull: A channel was full, and that was to be raised; all others have got the message.
            MessageTooLarge: It is larger than `max_message_bytes`, and there are hosts.
            TypeError: The name or the message is not one, or the message holds what MessagePack does not have.
            ValueError: The message is nested deeper than 100.
            LayerError: The servers cannot be reached.
        """
        check_message(message)
        self.require_valid_group_name(group)
        if self._exchange is not None:
            payload = self._packed(message)
            sending = self._exchange.group_send(group, payload, self.get_capacity)
            with self._board.gathering.sending(group):
                full = await self._exchange.run(sending)
            if full and (on_full or self._on_full) == "raise":
                raise ChannelFull(f"{full} channels over capacity in group {group}")
            return
        is_large = len(self._board.groups.get(group, ())) >= _MANY
        with self._board.gathering.sending(group) if is_large else nullcontext():
            text = self._counted(group, self._board.group_send(group, message, self.clock()))
            if is_large and not text:
                for _ in range(_LOOK_PASSES):
                    await asyncio.sleep(0)
        if text and (on_full or self._on_full) == "raise":
            raise ChannelFull(text)
        if text:
            self._log_full(text)

    def _counted(self, group: str, sent: Sent) -> str:
        """Count what became of a message; return what there is to say of it."""
        self._sent += sent.members - sent.full
        self._full += sent.full
        return f"{sent.full} of {sent.members} channels over capacity in group {group}" if sent.full else ""

    def _log_full(self, text: str) -> None:
        left_out = self._throttle.admit("full", self.clock())
        if left_out == 0:
            logger.warning("%s", text)
        elif left_out is not None:
            logger.warning("%s (and %d more such lines were left out)", text, left_out)

    # ── The rest ──

    async def flush(self) -> None:
        """Forget all messages and groups, of every process with the same servers and prefix."""
        self._board.clear()
        if self._exchange is not None:
            await self._exchange.run(self._exchange.flush())
            self._hears_node = False

    async def close(self) -> None:
        """Close the connections to the servers; consumers that live get nothing more, and the next use opens others."""
        self._hears_node = False
        if self._exchange is not None:
            await self._exchange.close()

    async def close_pools(self) -> None:
        """Do nothing: the connections belong to the process and to no event loop. channels_redis has this method."""

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
            lost=self._lost,
        )

    # ── Consumers ──

    def listen(self, channel: str, waiter: Waiter) -> Mailbox:
        """Let a consumer take what comes straight from the mailbox, without a task that receives."""
        return self._board.listen(str(channel), waiter, self.clock())

    def take(self, mailbox: Mailbox) -> Message | Missed | None:
        """Return what such a consumer handles next, or what stands for messages that it has missed."""
        return self._board.take(mailbox, self.clock())

    def hang_up(self, mailbox: Mailbox) -> None:
        """End a consumer's channel: it leaves every group, and what waits in it is dropped."""
        empty = self._board.hang_up(mailbox)
        if self._exchange is not None:
            self._exchange.release(empty)

    # ── Names ──

    def require_valid_channel_name(self, name: object, receive: bool = False) -> bool:  # noqa: FBT001, FBT002 -- as Channels has it
        """Return True for a valid channel name, else raise `TypeError`."""
        return _named(super().require_valid_channel_name, name, receive=receive)

    def require_valid_group_name(self, name: object) -> bool:
        """Return True for a valid group name, else raise `TypeError`."""
        return _named(super().require_valid_group_name, name)

    def _is_own(self, channel: str) -> bool:
        head, separator, _ = channel.partition("!")
        return bool(separator) and head.endswith(self._node)

    def _packed(self, message: Message) -> bytes:
        size_of(message)  # one that no receiver could copy is refused here
        try:
            payload = msgspec.msgpack.encode(message)
        except TypeError as error:
            raise TypeError(f"message cannot travel between processes: {error}") from None
        if len(payload) > self._max_bytes:
            raise MessageTooLarge(
                f"message is {len(payload)} bytes; the limit is {self._max_bytes} (max_message_bytes)"
            )
        return payload

    def _check_own(self, channel: str) -> None:
        if "!" in channel and not self._is_own(channel):
            raise AssertionError(
                f"channel {channel!r} belongs to another process; receive on names that new_channel() of this layer "
                "has returned, or on names without an exclamation mark"
            )


class _Local:
    """What the exchange hands over, in its own thread. Implements `exchange.Local`."""

    def __init__(self, layer: ChannelLayer, board: Switchboard) -> None:
        self._layer = weakref.ref(layer)
        self._board = board

    def group_arrived(self, group: str, message: Message) -> int:
        """Take a message to a group."""
        layer = self._layer()
        if layer is None:
            return 0
        sent = self._board.group_send(group, message, layer.clock(), is_owned=True)
        text = layer._counted(group, sent)
        if text:
            layer._log_full(text)
        return sent.full

    def has_group(self, group: str) -> bool:
        """Whether a group has a channel here."""
        return group in self._board.groups

    def channel_arrived(self, channel: str, message: Message) -> None:
        """Take a message to a channel of this process."""
        layer = self._layer()
        if layer is None:
            return
        sent = self._board.send(channel, message, layer.clock(), is_owned=True)
        text = layer._counted("", Sent(1, 0 if sent else 1))
        if text:
            layer._log_full(f"channel {channel} over capacity")

    def lost(self, name: str, count: int | None) -> None:
        """Know that messages cannot be had any more."""
        layer = self._layer()
        if layer is not None:
            layer._lost += 1
        logger.warning(
            "%s messages to %r were lost with the connection to Redis",
            "some" if count is None else count,
            name,
        )
        self._board.missed(name, count)


def _named(check: Callable[..., bool], name: object, **options: bool) -> bool:
    try:
        return check(name, **options)
    except TypeError as error:
        raise TypeError(f"{error} Got {name!a:.120}.") from None
