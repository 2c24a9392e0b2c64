"""The hot path of a trial: messages out by schedule, messages in to the ledger.

Open loop: what is due is handed to its socket at once, or as soon as the socket takes it; nothing waits for an
answer. Messages of one tick and client are written in one call. Frames are joined from parts that were masked once;
a message costs its mark (50 bytes), one entry in the ledger, and its share of a system call.
It decides nothing: when to stop and what it means is `trial`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from roomful.core.ledger import Ledger, Verdict
from roomful.probe.adapter import Adapter, Around, PlainAdapter
from roomful.probe.connection import Connection
from roomful.probe.marks import DAMAGED, MARK_BYTES, find_mark
from roomful.probe.mode import Mode
from roomful.probe.recipes import Recipe
from roomful.probe.schedule import Schedule, Window
from roomful.probe.sender import Sender
from roomful.probe.tally import MANY, ROW_S, Tally
from roomful.probe.template import Template

__all__ = ("CANARY", "Traffic")

CANARY = 9_999_999_999
"""The sequence of a message that asks whether the server still answers; no ledger knows it."""
_TICK_S = 0.001
# Messages joined into one write: enough that a system call's share is small, few enough for the caches.
_BATCH_BYTES = 256 * 1024
_BATCH = 256


class Traffic:
    """Send by schedule and judge what comes.

    Args:
        connections: Open ones; each client's number is its index.
        recipe: What is sent.
        schedule: When, over all clients, which take turns.
        mode: Who is to get it.
        run: Six letters or digits that no other trial has.
        deadline_s: What arrives later than this after its intended time is late.
        adapter: The server's protocol.
    """

    def __init__(
        self,
        connections: Sequence[Connection],
        recipe: Recipe,
        schedule: Schedule,
        *,
        mode: Mode,
        run: str,
        deadline_s: float,
        adapter: Adapter,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.recipe = recipe
        self.schedule = schedule
        self.mode = mode
        self.adapter = adapter
        self.ledger: Ledger = Ledger(deadline_s=deadline_s)
        self.tally: Tally = Tally()
        self._run = run.encode()
        templates: dict[Around, Template] = {}
        self.senders: list[Sender] = []
        for connection in connections:
            around = adapter.around(connection.number)
            if around not in templates:
                templates[around] = Template(recipe, around, connection.key_byte)
            self.senders.append(Sender(connection, templates[around], run))
        self.clients: int = len(self.senders)
        self.began: float = 0.0
        """The loop's time at the schedule's zero."""
        self.offered: int = 0
        self.arrived: int = 0
        """First arrivals over all receivers."""
        self.stale: int = 0
        """Messages of an earlier trial that came during this one."""
        self.unmarked: int = 0
        """Messages that carry no mark, where marks are expected."""
        self.paused_ever: bool = False
        self.last_due_us: int = 0
        """Intended time of the newest arrival."""
        self.last_arrival: float = 0.0
        self.longest_silence_s: float = 0.0
        self.lateness: list[tuple[int, int]] = []
        """(µs, messages): how long after their intended time unhindered messages were handed over."""
        self.changed: asyncio.Event = asyncio.Event()
        """Set at each end of a connection, and when all that was sent has come."""
        self.numbers: dict[tuple[str, int], tuple[int, int]] = {}
        """For servers that number messages: whose they are."""
        self.notices: list[tuple[int, str, int, int]] = []
        """Receiver, room, first and last of each gap that it was told."""
        self._due = 0
        self._tick: asyncio.TimerHandle | None = None
        self._next_row = ROW_S
        self._stopped_at: float | None = None
        self._numbered = type(adapter).number is not _NOT_NUMBERED
        self._window = isinstance(schedule, Window)
        receivers = self.senders
        for receiver in receivers:
            if mode is Mode.BROADCAST:
                for sender in self.senders:
                    self.ledger.expect(receiver.number, sender.number, after=-1)
            else:
                self.ledger.expect(receiver.number, receiver.number, after=-1)
        for sender in self.senders:
            sender.connection.listener = self

    @property
    def expected(self) -> int:
        """How many arrivals what was handed over so far should lead to."""
        return self.offered * (self.clients if self.mode is Mode.BROADCAST else 1)

    @property
    def complete(self) -> bool:
        """Whether all that was handed over has come."""
        return self.arrived >= self.expected

    @property
    def now_s(self) -> float:
        """Seconds since the schedule's zero."""
        return self._loop.time() - self.began

    @property
    def due(self) -> int:
        """How many messages were due by now, or by the stop."""
        return self._due

    @property
    def backlog_s(self) -> float:
        """How long the oldest message that a socket does not take has been due."""
        if self.offered >= self._due:
            return 0.0
        oldest = min(
            (self._index(each, each.next) for each in self.senders if self._lags(each)), default=None
        )
        return 0.0 if oldest is None else max(0.0, self.now_s - self.schedule.due_s(oldest))

    def start(self, *, delay_s: float = 0.02) -> None:
        """Begin; the first message is due after `delay_s`."""
        self.began = self._loop.time() + delay_s
        self.last_arrival = self.began
        self._tick = self._loop.call_at(self.began, self._on_tick)

    def stop(self) -> None:
        """Offer nothing more; rows go on until `finish`."""
        if self._stopped_at is None:
            self._stopped_at = self.now_s

    def give_up(self) -> None:
        """Stop, as no connection is left: the rest of the schedule cannot be offered."""
        self._due = self.schedule.count
        self.stop()

    def finish(self) -> None:
        """Stop rows too, and record what was due and never taken."""
        self.stop()
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None
        self._row(self.now_s)
        for sender in self.senders:
            sender.connection.listener = None
            for seq in range(sender.next, self._target(sender)):
                self.ledger.not_offered(sender.number, seq)

    def send_canary(self, sender: Sender) -> None:
        """Send a message that the ledger does not know."""
        if not sender.closed:
            mark, _ = sender.marker.mark(CANARY, 0)
            sender.connection.write(b"".join(sender.template.parts(mark)))

    # sending

    def _target(self, sender: Sender) -> int:
        """How many messages of this client are due."""
        return (self._due - sender.number + self.clients - 1) // self.clients

    def _index(self, sender: Sender, seq: int) -> int:
        return seq * self.clients + sender.number

    def _lags(self, sender: Sender) -> bool:
        return sender.next < self._target(sender)

    def _on_tick(self) -> None:
        now = self.now_s
        if self._stopped_at is None:
            self._pump(now)
        if now >= self._next_row:
            self._row(now)
            self._next_row = now + ROW_S
        wait = _TICK_S
        if self._stopped_at is not None or self._due >= self.schedule.count:
            wait = ROW_S / 2
        elif not self._window:
            wait = max(self.schedule.due_s(self._due) - now, _TICK_S)
            wait = min(wait, ROW_S / 2)
        self._tick = self._loop.call_later(wait, self._on_tick)

    def _pump(self, now: float) -> None:
        before = self._due
        due = self.schedule.due_by(now)
        if due <= before:
            return
        self._due = due
        new = due - before
        first = before % self.clients
        unhindered = 0
        for step in range(min(new, self.clients)):
            sender = self.senders[(first + step) % self.clients]
            if not sender.connection.paused and not sender.closed:
                unhindered += 1
                self._offer(sender)
        if unhindered:
            late = int((now - self.schedule.due_s(before)) * 1e6)
            self.lateness.append((max(late, 0), unhindered * new // min(new, self.clients)))

    def _offer(self, sender: Sender) -> None:
        """Hand over what is due, until the socket takes no more."""
        connection = sender.connection
        target = self._target(sender)
        seq = sender.next
        stream = number = sender.number
        clients = self.clients
        due_s = self.schedule.due_s
        pushed = self.ledger.pushed
        make = sender.marker.mark
        template = sender.template
        parts_of = template.parts
        size = template.size
        began = self.began
        batch = max(1, min(_BATCH, _BATCH_BYTES // size))
        while seq < target and not connection.paused:
            parts: list[bytes] = []
            last = min(target, seq + batch)
            for each in range(seq, last):
                due = due_s(each * clients + number)
                mark, check = make(each, int(due * 1e6))
                pushed(stream, each, check << 31 | size, began + due)
                parts += parts_of(mark)
            self.offered += last - seq
            seq = sender.next = last
            if len(parts[-1]) > _BATCH_BYTES:
                # Joining would copy a message that stands ready.
                connection.write(b"".join(parts[:-1]))
                connection.write(parts[-1])
            else:
                connection.write(b"".join(parts))

    # receiving

    def received(self, connection: Connection, messages: list[tuple[int, bytes, int, int]]) -> None:
        """Judge what one read brought; called by the connection."""
        now = self._loop.time()
        now_us = int((now - self.began) * 1e6)
        receiver = self.senders[connection.number]
        number = receiver.number
        arrived = self.ledger.arrived
        intact = self.recipe.intact
        fresh = self.tally.fresh
        size = receiver.template.size
        run = self._run
        count = 0
        for _, data, start, end in messages:
            place, found = find_mark(data, start, end)
            if found is None:
                self._unusual(receiver, data[start:end], marked=place >= 0, now=now)
                continue
            while True:
                if found.run != run:
                    self.stale += 1
                elif found.seq >= CANARY:
                    receiver.canaries.add(found.sender)
                    self.changed.set()
                else:
                    digest = found.check << 31 | size
                    if not intact(data, place, end):
                        digest |= DAMAGED
                    verdict = arrived(number, found.sender, found.seq, digest, now)
                    if verdict is not _DUPLICATE:
                        count += 1
                        fresh.append(now_us - found.due_us)
                        self.last_due_us = found.due_us
                    if self._numbered:
                        self._note_number(data[start:end], found.sender, found.seq)
                place, found = find_mark(data, place + MARK_BYTES, end)
                if found is None:
                    break
        if count:
            if len(fresh) > MANY:
                self.tally.absorb()
            self._count(receiver, count, now)

    def _count(self, receiver: Sender, count: int, now: float) -> None:
        receiver.arrived += count
        self.arrived += count
        self.longest_silence_s = max(self.longest_silence_s, now - self.last_arrival)
        self.last_arrival = now
        if self._window and self._stopped_at is None:
            self._pump(self.now_s)
        if self.arrived >= self.expected:
            self.changed.set()

    def _unusual(self, receiver: Sender, data: bytes, *, marked: bool, now: float) -> None:
        if self.mode is Mode.ACK and not marked:
            # The answers come in order, so the k-th says that the k-th message was received.
            seq = receiver.arrived
            if seq >= receiver.next:
                receiver.canaries.add(receiver.number)
                self.changed.set()
                return
            due_us = int(self.schedule.due_s(self._index(receiver, seq)) * 1e6)
            _, check = receiver.marker.mark(seq, due_us)
            self.ledger.arrived(
                receiver.number, receiver.number, seq, check << 31 | receiver.template.size, now
            )
            self.tally.fresh.append(int((now - self.began) * 1e6) - due_us)
            self.last_due_us = due_us
            self._count(receiver, 1, now)
            return
        told = self.adapter.told(data)
        if told is not None:
            self.notices.extend((receiver.number, told.room, first, last) for first, last in told.ranges)
            return
        self.unmarked += 1

    def _note_number(self, message: bytes, sender: int, seq: int) -> None:
        number = self.adapter.number(message)
        if number is not None:
            self.numbers[number] = (sender, seq)

    def resumed(self, connection: Connection) -> None:
        """Offer what waits; called by the connection."""
        sender = self.senders[connection.number]
        self.paused_ever = True
        if self._stopped_at is None:
            self._offer(sender)

    def closed(self, connection: Connection) -> None:
        """Note an end; called by the connection."""
        self.senders[connection.number].closed = True
        self.changed.set()

    def _row(self, now: float) -> None:
        self.tally.row(
            now,
            due=self._due,
            offered=self.offered,
            arrived=self.arrived,
            paused=sum(each.connection.paused for each in self.senders),
            unsent_bytes=sum(each.connection.unsent for each in self.senders),
        )


# Looked up once: an attribute of an Enum class costs about 40 ns on Python 3.11.
_DUPLICATE = Verdict.DUPLICATE
_NOT_NUMBERED = PlainAdapter.number
