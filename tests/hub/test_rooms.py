"""Rooms and branches: each member gets each event of its membership exactly once and in order."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from roomful.core.names import RoomName
from roomful.core.policies import RoomPolicy
from roomful.core.ports import Frame
from roomful.hub.outbox import Entry
from roomful.hub.rooms import Branch, Room
from tests.fakes import FakeKind

KINDS = (FakeKind("json"), FakeKind("raw"))
NAMES = ("ann", "bob", "cid", "dan", "eve")


class Member:
    """A member as the hub's connection is one: a transport that may fill up, and an outbox behind it."""

    def __init__(self, name: str, kind: FakeKind) -> None:
        self.name = name
        self.kind = kind
        self.owed: list[object] = []
        self.got: list[object] = []
        self.outbox: list[object] | None = None
        self.on_write: Callable[[Member], None] | None = None
        self.writes_in_flush = 0

    def write(self, joined: object) -> None:
        assert isinstance(joined, tuple)
        assert self.outbox is None, "a member with an outbox was written to past it"
        self.got += joined
        self.writes_in_flush += 1
        if self.on_write is not None:
            on_write, self.on_write = self.on_write, None
            on_write(self)

    def enqueue(self, branch: Branch[Member], _joined: object) -> None:
        assert self.outbox is not None
        self.outbox += [entry.frame.data for entry in branch.writing]
        self.writes_in_flush += 1

    def put(self, *data: object) -> None:
        if self.outbox is None:
            self.got += data
        else:
            self.outbox += data

    def writer(self, branch: Branch[Member]) -> Callable[[object], None]:
        return self.write if self.outbox is None else partial(self.enqueue, branch)

    def pause(self, branch: Branch[Member] | None) -> None:
        if self.outbox is None:
            self.outbox = []
            if branch is not None:
                branch.writers[self] = self.writer(branch)

    def resume(self, branch: Branch[Member] | None) -> None:
        if self.outbox is not None:
            self.got += self.outbox
            self.outbox = None
            if branch is not None:
                branch.writers[self] = self.writer(branch)


class RoomMachine(RuleBasedStateMachine):
    """Any interleaving of what can happen to a room and to its members."""

    def __init__(self) -> None:
        super().__init__()
        self.room: Room[Member] = Room(RoomName("r"), RoomPolicy())
        self.people = {name: Member(name, KINDS[i % 2]) for i, name in enumerate(NAMES)}
        self.broken: set[Member] = set()
        self.number = 0

    # What the engine does.

    def _next(self) -> int:
        self.number += 1
        return self.number

    def _push(self, excluded: Member | None) -> None:
        number = self._next()
        for member in self.room.members:
            member.owed.append(f"position {number}" if member is excluded else number)
        for branch in self.room.branches.values():
            branch.append(Entry(Frame(number, 1)))
        if excluded in self.room.members:
            owed = self.room.members[excluded].catch_up(excluded)[:-1]
            excluded.put(*[entry.frame.data for entry in owed], f"position {number}")

    def _leave(self, member: Member) -> None:
        member.put(*[entry.frame.data for entry in self.room.remove(member)])
        assert member.got + (member.outbox or []) == member.owed

    # What may happen.

    @rule(name=st.sampled_from(NAMES))
    def join_or_leave(self, name: str) -> None:
        member = self.people[name]
        if member in self.room.members:
            self._leave(member)
        else:
            branch = self.room.branch(member.kind)
            self.room.add(member, branch, member.writer(branch))

    @rule()
    def push(self) -> None:
        self._push(None)

    @rule(name=st.sampled_from(NAMES))
    def push_without(self, name: str) -> None:
        self._push(self.people[name])

    @rule(name=st.sampled_from(NAMES))
    def send(self, name: str) -> None:
        member = self.people[name]
        number = self._next()
        branch = self.room.members.get(member)
        owed = () if branch is None else branch.catch_up(member)
        member.put(*[entry.frame.data for entry in owed], number)
        member.owed.append(number)
        assert member.got + (member.outbox or []) == member.owed

    @rule(name=st.sampled_from(NAMES))
    def pause(self, name: str) -> None:
        member = self.people[name]
        member.pause(self.room.members.get(member))

    @rule(name=st.sampled_from(NAMES))
    def resume(self, name: str) -> None:
        member = self.people[name]
        member.resume(self.room.members.get(member))

    @rule(name=st.sampled_from(NAMES))
    def pause_within_write(self, name: str) -> None:
        self.people[name].on_write = lambda member: member.pause(self.room.members.get(member))

    @rule(name=st.sampled_from(NAMES), other=st.sampled_from(NAMES), resumes=st.booleans())
    def touch_another_within_write(self, name: str, other: str, resumes: bool) -> None:
        target = self.people[other]

        def touch(_: Member) -> None:
            (target.resume if resumes else target.pause)(self.room.members.get(target))

        self.people[name].on_write = touch

    @rule(name=st.sampled_from(NAMES))
    def break_within_write(self, name: str) -> None:
        def fail(member: Member) -> None:
            self.broken.add(member)
            raise OSError

        self.people[name].on_write = fail

    @rule()
    def flush(self) -> None:
        for branch in list(self.room.branches.values()):
            pending = len(branch.pending)
            broken = branch.flush()
            assert {member for member, _ in broken} == self.broken
            self.broken.clear()
            assert all(isinstance(error, OSError) for _, error in broken)
            assert (branch.last_batch, branch.pending, branch.pending_bytes) == (pending, [], 0)
            assert branch.writing == ()
        for member in self.people.values():
            assert member.writes_in_flush <= 1, "called more than once for one batch"
            member.writes_in_flush = 0
            if member in self.room.members:
                assert member.got + (member.outbox or []) == member.owed

    @precondition(lambda self: not self.room.members)
    @rule()
    def deserted(self) -> None:
        assert self.room.is_deserted
        assert self.room.branches == {}

    @invariant()
    def nothing_is_early_twice_or_late(self) -> None:
        for member in self.people.values():
            got = member.got + (member.outbox or [])
            assert got == member.owed[: len(got)]
            if member not in self.room.members:
                assert got == member.owed

    @invariant()
    def members_stand_in_their_branch(self) -> None:
        assert {m: b.kind for m, b in self.room.members.items()} == {
            m: kind for kind, b in self.room.branches.items() for m in b.writers
        }
        for branch in self.room.branches.values():
            assert branch.pending_bytes == len(branch.pending)


TestRoom = RoomMachine.TestCase


@pytest.fixture
def branch() -> Branch[str]:
    return Branch(FakeKind())


def push(branch: Branch[str], *data: object) -> None:
    for one in data:
        branch.append(Entry(Frame(one, 10)))


def test_batch_is_joined_once_and_shared(branch: Branch[str]) -> None:
    """All members of a kind get the very same object, so that encoding and joining cost nothing per member."""
    written: list[object] = []
    for name in NAMES:
        branch.add(name, written.append)
    push(branch, 1, 2)

    branch.flush()

    assert written == [(1, 2)] * 5
    assert len({id(joined) for joined in written}) == 1


def test_shares_of_members_that_are_equally_far_are_joined_once(branch: Branch[str]) -> None:
    """Also the slower loop joins once for each distance, not once for each member."""
    written: dict[str, object] = {}
    for name in NAMES:
        branch.add(name, partial(written.__setitem__, name))
    push(branch, 1)
    branch.catch_up("ann")
    branch.catch_up("bob")
    push(branch, 2)

    branch.flush()

    assert written == {"ann": (2,), "bob": (2,), "cid": (1, 2), "dan": (1, 2), "eve": (1, 2)}
    assert written["ann"] is written["bob"]
    assert written["cid"] is written["eve"]


def test_flush_of_nothing_writes_nothing(branch: Branch[str]) -> None:
    """Nobody's writer is called without a frame."""
    branch.add("ann", pytest.fail)

    assert branch.flush() == []
    assert branch.last_batch == 0


def test_broken_writer_costs_the_others_nothing(branch: Branch[str]) -> None:
    """A writer that raises is named with its error, and all others are called."""
    error = OSError("gone")
    written: list[object] = []

    def fail(_joined: object) -> None:
        raise error

    branch.add("ann", fail)
    branch.add("bob", written.append)
    push(branch, 1)

    assert branch.flush() == [("ann", error)]
    assert written == [(1,)]


def test_each_broken_writer_is_named(branch: Branch[str]) -> None:
    """Whoever stands first, last or in between is the one that is named."""
    members = ["ann", "bob", "cid", "dan", "eve"]
    errors = {member: OSError(member) for member in ("ann", "cid", "eve")}
    written: list[object] = []

    def fail(error: OSError, _joined: object) -> None:
        raise error

    for member in members:
        branch.add(member, partial(fail, errors[member]) if member in errors else written.append)
    push(branch, 1)

    assert branch.flush() == list(errors.items())
    assert written == [(1,), (1,)]


def test_broken_writer_costs_those_with_other_shares_nothing(branch: Branch[str]) -> None:
    """The same holds in the slower loop, which writes a share to each."""
    error = OSError("gone")
    written: list[object] = []

    def fail(_joined: object) -> None:
        raise error

    branch.add("ann", fail)
    branch.add("bob", written.append)
    push(branch, 1)
    branch.catch_up("ann")
    push(branch, 2)

    assert branch.flush() == [("ann", error)]
    assert written == [(1, 2)]


def test_pending_is_dropped_with_its_last_member() -> None:
    """What nobody is owed is not kept."""
    room: Room[str] = Room(RoomName("r"), RoomPolicy())
    branch = room.branch(KINDS[0])
    room.add("ann", branch, pytest.fail)
    push(branch, 1)

    assert [entry.frame.data for entry in room.remove("ann")] == [1]
    assert (branch.pending, room.branches, room.is_deserted) == ([], {}, True)


def test_room_with_a_join_under_way_is_not_deserted() -> None:
    """A room lives while somebody is about to be in it."""
    room: Room[str] = Room(RoomName("r"), RoomPolicy())
    room.joining = 1

    assert not room.is_deserted
