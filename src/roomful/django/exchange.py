"""The exchange: groups and channels between processes, over the layer that carries rooms.

A group is a topic of that layer: numbered, and kept for as long as a message may wait, so that what a broken connection
has missed is read again or told. Each process hands a group's message to its own channels.

It runs on an event loop of its own, in a thread: channel layers are used from any loop, and most of those in sync code
live for a single call. Messages travel as MessagePack, encoded once.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final, Protocol, TypeVar

import msgspec
from channels.exceptions import ChannelFull

from ..core.errors import LayerError
from ..core.names import RoomName, group_topic, node_topic
from ..core.policies import Retention
from ..core.ports import ProducerSeq, Receipt
from ..core.positions import Gap, Position
from ..hub.sequencer import Sequencer
from .letter import Message, check_message, size_of, unreadable_is_logged
from .queue import Queue
from .shard import Shard

__all__ = ("Exchange", "Local")

T = TypeVar("T")

_MAX_KEPT: Final = 1000
_MAX_KEPT_BYTES: Final = 1024 * 1024
_PAGE: Final = 64
_RETRY_S: Final = 0.1
_OWN_DELIVERY_S: Final = 5.0
"""Time for which a sender waits until its message has come back to the channels of its own process."""


class Local(Protocol):
    """This process's side: what the exchange hands messages to. Called in the exchange's thread."""

    def group_arrived(self, group: str, message: Message) -> int:
        """Take a message to a group; return how many of its channels were full."""

    def has_group(self, group: str) -> bool:
        """Whether a group has a channel in this process."""

    def channel_arrived(self, channel: str, message: Message) -> None:
        """Take a message to a channel of this process."""

    def lost(self, name: str, count: int | None) -> None:
        """Know that messages to a group, or to this process, cannot be had any more; None stands for unknown."""


class _Topic:
    """A topic that this process receives."""

    __slots__ = ("arrived", "attaching", "full", "sequencer", "waiting")

    def __init__(self, arrived: Callable[[bytes], int | None]) -> None:
        self.arrived = arrived
        self.attaching: asyncio.Task[None] | None = None
        self.sequencer = Sequencer()
        self.waiting: list[tuple[Position, asyncio.Future[None]]] = []
        self.full: deque[tuple[Position, int]] = deque(maxlen=_PAGE)
        """How many channels were full, of the last messages of which some were."""


class Exchange:
    """Carries messages between the processes that name the same servers and prefix.

    Args:
        urls: The servers; each group and channel has one of them.
        prefix: With what all keys begin.
        node: This process.
        local: Where messages go that come here.
        expiry_s: For how long a message may wait.
        group_expiry_s: For how long a channel of nobody here stays in a group.
    """

    def __init__(
        self,
        urls: tuple[str, ...],
        prefix: str,
        node: str,
        local: Local,
        *,
        expiry_s: float,
        group_expiry_s: float,
    ) -> None:
        self._urls = urls
        self._prefix = prefix
        self._node = node
        self._local = local
        self._keep = Retention(_MAX_KEPT, _MAX_KEPT_BYTES, expiry_s)
        self._expiry_s = expiry_s
        self._group_expiry_s = group_expiry_s
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._pid = 0
        self._reset()
        # Read here, so that a URL that names no server is told when the layer is made.
        self._make_shards()

    def _reset(self) -> None:
        self._topics: dict[RoomName, _Topic] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def _make_shards(self) -> None:
        self._shards = [Shard(url, self._prefix, self.deliver, self.suspect) for url in self._urls]
        self._queues = [Queue(shard.command, self._prefix, self._expiry_s) for shard in self._shards]

    # ── From any thread and loop ──

    async def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the exchange's loop."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, self._running_loop()))

    def release(self, groups: list[str]) -> None:
        """Know that groups have no channel here; they are received no more, unless one has come meanwhile."""
        if groups and self._loop is not None and self._pid == os.getpid():
            for group in groups:
                self._loop.call_soon_threadsafe(self._detach, group_topic(RoomName(group)))

    def is_received(self, group: str) -> bool:
        """Whether a group is received here."""
        topic = self._topics.get(group_topic(RoomName(group)))
        return topic is not None and bool(topic.sequencer.top.epoch)

    async def receive(self, channel: str) -> Message:
        """Return the next message of a channel that belongs to no process.

        Cancellation: a message that had been taken goes back to where it was.
        """
        while True:
            payload = await self._receive(channel)
            with unreadable_is_logged():
                message: Message = msgspec.msgpack.decode(payload)
                check_message(message)
                size_of(message)  # raises for what is nested too deep
                return message

    async def _receive(self, channel: str) -> bytes:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[bytes] = loop.create_future()
        queue = self._queues[self._index(channel)]
        taking = asyncio.run_coroutine_threadsafe(
            self._hand_over(channel, queue, loop, future), self._running_loop()
        )
        try:
            return await future
        except asyncio.CancelledError:
            if future.cancelled():
                taking.cancel()
            elif future.exception() is None:
                asyncio.run_coroutine_threadsafe(
                    queue.put_back(channel, future.result()), self._running_loop()
                )
            raise

    async def close(self) -> None:
        """End; the next use begins anew."""
        with self._lock:
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is None or thread is None or self._pid != os.getpid():
            return
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._stop(), loop))
        loop.call_soon_threadsafe(loop.stop)
        await asyncio.to_thread(thread.join)
        self._reset()
        self._make_shards()

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None or self._pid != os.getpid():
                if self._loop is not None:  # a child inherits neither the thread nor the connections
                    self._reset()
                    self._make_shards()
                self._loop, self._pid = asyncio.new_event_loop(), os.getpid()
                self._thread = threading.Thread(
                    target=_run, args=(self._loop,), name="roomful-exchange", daemon=True
                )
                self._thread.start()
            return self._loop

    # ── On the exchange's loop ──

    async def attach_group(self, group: str) -> None:
        """Receive a group from now on."""
        name = group_topic(RoomName(group))
        await self._attach(
            name, lambda payload: self._local.group_arrived(group, msgspec.msgpack.decode(payload))
        )

    async def attach_node(self) -> None:
        """Receive what other processes send to channels of this one."""
        await self._attach(node_topic(self._node), self._node_arrived)

    async def group_send(self, group: str, payload: bytes, capacity_of: Callable[[str], int]) -> int:
        """Carry a message to a group; return how many of its channels that belong to no process were full."""
        name = group_topic(RoomName(group))
        shard = await self._shard(name)
        publishing = self._publish(shard, name, payload, keep=self._keep)
        members = await self._queues[self._index(name)].members(group, time.time() - self._group_expiry_s)
        full = 0
        for channel in members:
            try:
                await self.send(channel, payload, capacity_of(channel))
            except ChannelFull:
                full += 1
        return full + await self._has_arrived(name, (await publishing).position)

    async def send(self, channel: str, payload: bytes, capacity: int) -> None:
        """Carry a message to a channel of another process, or of none.

        Raises:
            ChannelFull: As many messages wait in it as may. Of a channel of another process, that process says so.
        """
        head, separator, _ = channel.partition("!")
        if separator:
            name = node_topic(head.rpartition(".")[2])
            shard = await self._shard(name)
            await self._publish(shard, name, msgspec.msgpack.encode((str(channel), payload)), keep=self._keep)
            return
        if not await self._queues[self._index(channel)].put(channel, payload, capacity):
            raise ChannelFull(f"channel {channel!r} is full: {capacity} messages wait in it")
        name = _queue_topic(channel)
        await self._publish(await self._shard(name), name, b"", keep=None)

    async def add_member(self, group: str, channel: str) -> None:
        """Add a channel that is not of this process to a group."""
        name = group_topic(RoomName(group))
        await self._queues[self._index(name)].add_member(group, channel, time.time(), self._group_expiry_s)

    async def discard_member(self, group: str, channel: str) -> None:
        """Remove it."""
        name = group_topic(RoomName(group))
        await self._queues[self._index(name)].discard_member(group, channel)

    async def flush(self) -> None:
        """Forget everything under the prefix, on every server."""
        for name in list(self._topics):
            self._detach(name, is_forced=True)
        for queue in self._queues:
            await queue.flush()

    async def _hand_over(
        self,
        channel: str,
        queue: Queue,
        loop: asyncio.AbstractEventLoop,
        future: asyncio.Future[bytes],
    ) -> None:
        try:
            await self._attach(_queue_topic(channel), lambda _: queue.notice(channel))
            payload = await queue.take(channel)
        except LayerError as error:
            _tell(loop, partial(_fail, future, error))
            return
        here = asyncio.get_running_loop()

        def give() -> None:
            # Whoever waited may have been cancelled while this was on its way from one loop to the other.
            if future.done():
                asyncio.run_coroutine_threadsafe(queue.put_back(channel, payload), here)
            else:
                future.set_result(payload)

        if not _tell(loop, give):
            await queue.put_back(channel, payload)

    async def _stop(self) -> None:
        topics, self._topics = self._topics, {}  # so that nobody begins to wait any more
        for topic in topics.values():
            for _, future in topic.waiting:
                _done(future)
        for task in self._tasks:
            task.cancel()
        for queue in self._queues:
            queue.stop()
        for shard in self._shards:
            await shard.stop()

    def _index(self, name: str) -> int:
        return zlib.crc32(name.encode()) % len(self._urls)

    async def _shard(self, name: str) -> Shard:
        shard = self._shards[self._index(name)]
        await shard.started()
        return shard

    def _publish(
        self, shard: Shard, name: RoomName, payload: bytes, *, keep: Retention | None
    ) -> asyncio.Future[Receipt]:
        seq = ProducerSeq(self._node, next(self._numbers))
        return shard.layer.publish(name, payload, seq=seq, keep=keep)

    # ── What comes ──

    async def _attach(self, name: RoomName, arrived: Callable[[bytes], int | None]) -> None:
        topic = self._topics.get(name)
        if topic is None:
            topic = self._topics[name] = _Topic(arrived)
            topic.attaching = asyncio.create_task(self._attached(name, topic))
        if topic.attaching is not None:
            await asyncio.shield(topic.attaching)

    async def _attached(self, name: RoomName, topic: _Topic) -> None:
        try:
            shard = await self._shard(name)
            at = await shard.layer.attach(name)
        except BaseException:
            if self._topics.get(name) is topic:
                del self._topics[name]
            raise
        if not topic.sequencer.top.epoch:
            topic.sequencer.top = at
        topic.attaching = None

    def _detach(self, name: RoomName, *, is_forced: bool = False) -> None:
        topic = self._topics.get(name)
        if topic is None or (not is_forced and self._local.has_group(name[2:])):
            return
        del self._topics[name]
        for _, future in topic.waiting:
            _done(future)
        self._shards[self._index(name)].layer.detach(name)

    def deliver(self, name: RoomName, at: Position, payload: bytes) -> None:
        """Take what a layer delivers."""
        topic = self._topics.get(name)
        if topic is None:
            return
        if topic.sequencer.deliver(at, payload):
            self._pass(topic, at, payload)
            self._tell_waiting(topic)
        elif topic.sequencer.is_behind:
            self._catch_up(name, topic)

    def suspect(self, name: RoomName) -> None:
        """Know that a layer may have missed something."""
        topic = self._topics.get(name)
        if topic is not None and topic.sequencer.top.epoch:
            topic.sequencer.suspect()
            self._catch_up(name, topic)

    def _pass(self, topic: _Topic, at: Position, payload: bytes) -> None:
        with unreadable_is_logged():
            if full := topic.arrived(payload):
                topic.full.append((at, full))

    def _catch_up(self, name: RoomName, topic: _Topic) -> None:
        if topic.attaching is None:
            task = asyncio.create_task(self._read(name, topic))
            topic.attaching = task
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _read(self, name: RoomName, topic: _Topic) -> None:
        layer = self._shards[self._index(name)].layer
        while topic.sequencer.is_behind and self._topics.get(name) is topic:
            try:
                page = await layer.history(name, topic.sequencer.top, _PAGE)
            except LayerError:
                await asyncio.sleep(_RETRY_S)
                continue
            gap, passed = topic.sequencer.read(page)
            if gap is not None:
                self._local.lost(name[2:], _count(gap))
            for at, payload in passed:
                self._pass(topic, at, payload)
        topic.attaching = None
        self._tell_waiting(topic)

    async def _has_arrived(self, name: RoomName, at: Position) -> int:
        """Wait until a message has come to this process's channels of a group; return how many of them were full."""
        topic = self._topics.get(name)
        if topic is None:
            return 0
        if not _is_past(topic.sequencer.top, at):
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            topic.waiting.append((at, future))
            await asyncio.wait((future,), timeout=_OWN_DELIVERY_S)
        return next((full for position, full in topic.full if position == at), 0)

    def _tell_waiting(self, topic: _Topic) -> None:
        if topic.waiting:
            top = topic.sequencer.top
            for at, future in topic.waiting:
                if _is_past(top, at):
                    _done(future)
            topic.waiting = [(at, future) for at, future in topic.waiting if not future.done()]

    def _node_arrived(self, payload: bytes) -> None:
        channel, message = msgspec.msgpack.decode(payload)
        self._local.channel_arrived(channel, msgspec.msgpack.decode(message))


def _queue_topic(channel: str) -> RoomName:
    """Return the name under which workers are told that something has come to a channel."""
    return RoomName(f"\x01q{channel}")


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.close()


def _tell(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> bool:
    """Call on another loop; return False when that has been closed."""
    try:
        loop.call_soon_threadsafe(call)
    except RuntimeError:
        return False
    return True


def _fail(future: asyncio.Future[bytes], error: LayerError) -> None:
    if not future.done():
        future.set_exception(error)


def _is_past(top: Position, at: Position) -> bool:
    return top.epoch != at.epoch or top.offset >= at.offset


def _count(gap: Gap) -> int | None:
    return sum(last - first + 1 for first, last in gap.ranges) if gap.ranges else None


def _done(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
