"""Rooms: who is a member, and what each member is still owed of the current batch.

Pure: members are opaque, writers are callables, and nothing here schedules a flush or decides about a slow member.

A room has one `Branch` for each kind of frame that its members need. A branch collects the frames of one batch in
`pending`, and `flush` calls each member's writer once with all of them joined. A member that had to be written to in
between (a direct send, a join, a leave) got its share early: `ahead` notes how many pending frames it has seen, and
the flush gives it the rest.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from operator import length_hint
from typing import Generic, TypeVar

from ..core.envelope import Envelope
from ..core.names import RoomName
from ..core.policies import RoomPolicy
from ..core.ports import Frame, FrameKind
from ..core.positions import Gap, Position
from .outbox import Entry
from .sequencer import Sequencer
from .tail import Tail

__all__ = ("Branch", "Room", "Writer")

logger: logging.Logger = logging.getLogger("roomful.hub")

M = TypeVar("M")
Writer = Callable[[object], None]


class Branch(Generic[M]):
    """The members of one room that share one kind of frame.

    Attributes:
        writers: Each member's writer, called once per batch with the joined frames. A writer may be replaced at any
            time, also from within a call of it; members are added and removed between flushes only.
        pending: The batch that has been pushed and not yet flushed.
        writing: Within a call of a writer, the entries that the call stands for.
        last_batch: How many frames the last flush joined.
        has_waited: Whether this batch has been held back for one poll already.
    """

    __slots__ = (
        "_ahead",
        "_pending_bytes",
        "has_waited",
        "kind",
        "last_batch",
        "pending",
        "writers",
        "writing",
    )

    def __init__(self, kind: FrameKind) -> None:
        self.kind: FrameKind = kind
        self.writers: dict[M, Writer] = {}
        self.pending: list[Entry] = []
        self.writing: Sequence[Entry] = ()
        self.last_batch: int = 0
        self.has_waited: bool = False
        self._pending_bytes = 0
        self._ahead: dict[M, int] = {}

    @property
    def pending_bytes(self) -> int:
        """Bytes of the frames in `pending`."""
        return self._pending_bytes

    def add(self, member: M, writer: Writer) -> None:
        """Add a member that gets what is pushed from now on."""
        self.writers[member] = writer
        if self.pending:
            self._ahead[member] = len(self.pending)

    def remove(self, member: M) -> Sequence[Entry]:
        """Remove a member; return what it is still owed."""
        del self.writers[member]
        return self.pending[self._ahead.pop(member, 0) :]

    def catch_up(self, member: M) -> Sequence[Entry]:
        """Return what a member is still owed, which the caller writes now; the flush will not write it again."""
        if not self.pending:
            return ()
        owed = self.pending[self._ahead.get(member, 0) :]
        self._ahead[member] = len(self.pending)
        return owed

    def append(self, entry: Entry) -> None:
        """Add an entry to the batch."""
        self.pending.append(entry)
        self._pending_bytes += entry.frame.size

    def flush(self) -> list[tuple[M, Exception]]:
        """Write the batch: each member's writer is called at most once. Return the members whose writer raised."""
        batch, self.pending = self.pending, []
        ahead, self._ahead = self._ahead, {}
        self._pending_bytes = 0
        self.last_batch = len(batch)
        self.has_waited = False
        broken: list[tuple[M, Exception]] = []
        if not batch:
            return broken
        if ahead:
            self._write_shares(batch, ahead, broken)
        else:
            self.writing = batch
            joined = self.kind.join([entry.frame for entry in batch])
            # Not the items: a member that is not touched costs no cache miss. From Python 3.11 on a `try` costs
            # nothing until something is raised.
            for write in (left := iter(self.writers.values())):
                try:
                    write(joined)
                except Exception as error:  # noqa: BLE001 -- one member's wire must not cost the others their frame
                    broken.append((self._member_before(left), error))
        self.writing = ()
        return broken

    def _member_before(self, left: Iterator[Writer]) -> M:
        """Return the member whose writer an iterator gave last."""
        return next(islice(self.writers, len(self.writers) - length_hint(left) - 1, None))

    def _write_shares(
        self, batch: list[Entry], ahead: dict[M, int], broken: list[tuple[M, Exception]]
    ) -> None:
        shares: dict[int, tuple[Sequence[Entry], object]] = {}
        for member, write in self.writers.items():
            seen = ahead.get(member, 0)
            if seen == len(batch):
                continue
            share = shares.get(seen)
            if share is None:
                entries = batch[seen:]
                share = shares[seen] = (entries, self.kind.join([entry.frame for entry in entries]))
            self.writing, joined = share
            try:
                write(joined)
            except Exception as error:  # noqa: BLE001 -- as above
                broken.append((member, error))


class Room(Generic[M]):
    """A named set of members, with the order in which events are delivered to it.

    Attributes:
        policy: What it keeps, and what happens to its slow members.
        order: Its order.
        joining: How many joins wait for the layer, or for what they missed.
        tail: Its last events, while members come back.
    """

    __slots__ = ("branches", "joining", "members", "name", "order", "policy", "tail")

    def __init__(self, name: RoomName, policy: RoomPolicy) -> None:
        self.name: RoomName = name
        self.policy: RoomPolicy = policy
        self.order: Sequencer = Sequencer()
        self.branches: dict[FrameKind, Branch[M]] = {}
        self.members: dict[M, Branch[M]] = {}
        self.joining: int = 0
        self.tail: Tail | None = None

    @property
    def top(self) -> Position:
        """The position of the last event delivered, or the one at which the layer was attached."""
        return self.order.top

    @property
    def is_deserted(self) -> bool:
        """Whether nobody is in it and nobody is about to be."""
        return not self.members and not self.joining

    def branch(self, kind: FrameKind) -> Branch[M]:
        """Return the branch of a kind, made when it is first asked for."""
        branch = self.branches.get(kind)
        if branch is None:
            branch = self.branches[kind] = Branch(kind)
        return branch

    def entry(self, kind: FrameKind, at: Position, envelope: Envelope | None) -> Entry | None:
        """Return what members of a kind get for an event: its frame, or a notice where it cannot be read.

        None stands for members that cannot be told.
        """
        frame: Frame | None = None
        if envelope is not None:
            try:
                frame = kind.encode(self.name, at, envelope)
            except ValueError:
                logger.exception("room %r: event %s cannot be encoded", self.name, at)
            else:
                key = envelope.conflate_key if self.policy.on_slow == "conflate" else ""
                return Entry(frame, self.name, at, key, self.policy.skips)
        frame = kind.gap(self.name, Gap("unreadable", at.epoch, ((at.offset, at.offset),)))
        return None if frame is None else Entry(frame, self.name)

    def add(self, member: M, branch: Branch[M], writer: Writer) -> None:
        """Add a member, in O(1)."""
        branch.add(member, writer)
        self.members[member] = branch

    def append(self, at: Position, envelope: Envelope | None) -> list[M]:
        """Add an event to the batch of every branch; return the members who cannot be told that it is unreadable."""
        untold: list[M] = []
        for branch in self.branches.values():
            entry = self.entry(branch.kind, at, envelope)
            if entry is None:
                untold.extend(branch.writers)
            else:
                branch.append(entry)
        return untold

    def append_gap(self, gap: Gap) -> list[M]:
        """Add a notice to the batch of every branch; return the members who cannot be told."""
        untold: list[M] = []
        for branch in self.branches.values():
            if (frame := branch.kind.gap(self.name, gap)) is None:
                untold.extend(branch.writers)
            else:
                branch.append(Entry(frame, self.name))
        return untold

    def remove(self, member: M) -> Sequence[Entry]:
        """Remove a member, in O(1); return what it is still owed."""
        branch = self.members.pop(member)
        owed = branch.remove(member)
        if not branch.writers:
            # Nobody is left who is owed what is pending.
            branch.pending = []
            del self.branches[branch.kind]
        return owed
