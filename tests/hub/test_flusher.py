"""The flusher: when batches are written, and that flushes never nest."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from roomful.core.limits import Limits
from roomful.core.names import RoomName
from roomful.core.ports import Frame
from roomful.hub.flusher import Flusher
from roomful.hub.outbox import Entry
from roomful.hub.rooms import Branch
from roomful.hub.statistics import Counters
from tests.clock import passes
from tests.fakes import FakeKind


class Scene:
    """A flusher with branches, whose members note what they get."""

    def __init__(self, limits: Limits) -> None:
        self.counters = Counters()
        self.broken: list[tuple[str, Exception]] = []
        self.flusher: Flusher[str] = Flusher(
            limits, self.counters, lambda member, error: self.broken.append((member, error))
        )
        self.written: list[tuple[str, object]] = []
        self.within: dict[str, Callable[[], None]] = {}
        self.branches: dict[RoomName, Branch[str]] = {}

    def branch(self, name: str, *members: str) -> Branch[str]:
        branch: Branch[str] = Branch(FakeKind())
        for member in members:
            branch.add(member, partial(self._write, member))
        self.branches[RoomName(name)] = branch
        return branch

    def _write(self, member: str, joined: object) -> None:
        self.written.append((member, joined))
        if (within := self.within.pop(member, None)) is not None:
            within()

    def push(self, branch: Branch[str], data: object, size: int = 1) -> None:
        branch.append(Entry(Frame(data, size)))
        self.flusher.appended([branch])

    def send(self, member: str, data: object) -> None:
        """Write to one member, behind what it is owed, as the engine does."""
        owed = [
            e.frame.data for b in self.flusher.pending_of(self.branches, member) for e in b.catch_up(member)
        ]
        self._write(member, (*owed, data))


@pytest.fixture
def scene() -> Scene:
    return Scene(Limits(max_batch_frames=4, max_batch_bytes=100))


async def test_lone_push_is_written_in_the_next_pass(scene: Scene) -> None:
    """A push waits for nothing but the end of the pass in which it came."""
    branch = scene.branch("r", "ann")
    scene.push(branch, 1)
    assert scene.written == []

    await passes()

    assert scene.written == [("ann", (1,))]
    assert scene.counters.flushes == 1


async def test_pushes_of_one_pass_are_joined(scene: Scene) -> None:
    """What comes in one pass is one write for each member, and a branch by itself."""
    first, second = scene.branch("r", "ann", "bob"), scene.branch("s", "ann")
    scene.push(first, 1)
    scene.push(second, 2)
    scene.push(first, 3)

    await passes()

    assert scene.written == [("ann", (1, 3)), ("bob", (1, 3)), ("ann", (2,))]
    assert scene.counters.flushes == 2


async def test_branch_waits_one_poll_more_while_batches_have_several_frames(scene: Scene) -> None:
    """Under load what several clients send is joined over one poll more; a lone push is quick again after that."""
    branch = scene.branch("r", "ann")
    scene.push(branch, 1)
    scene.push(branch, 2)
    await passes()
    scene.written.clear()

    scene.push(branch, 3)
    await passes()
    assert scene.written == []
    scene.push(branch, 4)
    await passes()
    assert scene.written == [("ann", (3, 4))]

    scene.push(branch, 5)
    await passes(2)
    scene.push(branch, 6)
    await passes()
    assert scene.written[1:] == [("ann", (5,)), ("ann", (6,))]


@pytest.mark.parametrize(("frames", "size"), [(4, 1), (2, 50), (1, 500)])
async def test_full_batch_is_written_at_once(scene: Scene, frames: int, size: int) -> None:
    """A batch that is full in frames or bytes does not wait; whoever pushes learns that the loop needs a turn."""
    branch = scene.branch("r", "ann")
    for number in range(frames):
        assert scene.written == []
        scene.push(branch, number, size)

    assert scene.written == [("ann", tuple(range(frames)))]
    assert scene.flusher.is_crowded
    await passes()
    assert not scene.flusher.is_crowded
    assert scene.counters.flushes == 1


async def test_full_batch_leaves_nothing_scheduled_twice(scene: Scene) -> None:
    """A branch that was flushed because it was full is not flushed again at the end of the pass."""
    branch = scene.branch("r", "ann")
    for number in range(5):
        scene.push(branch, number)

    await passes(3)

    assert scene.written == [("ann", (0, 1, 2, 3)), ("ann", (4,))]


async def test_flush_never_nests(scene: Scene) -> None:
    """What arises within a flush is called after it, in order, when every member has been written to."""
    branch = scene.branch("r", "ann", "bob")
    calls: list[object] = []

    def arise() -> None:
        assert scene.flusher.flushing
        scene.flusher.after_flush(lambda: calls.append(("first", len(scene.written))))
        scene.flusher.after_flush(lambda: calls.append(("second", len(scene.written))))

    scene.within["ann"] = arise
    scene.push(branch, 1)

    await passes()

    assert calls == [("first", 2), ("second", 2)]
    assert not scene.flusher.flushing


async def test_without_a_flush_nothing_is_put_off(scene: Scene) -> None:
    """Outside a flush `after_flush` calls now."""
    calls: list[int] = []

    scene.flusher.after_flush(partial(calls.append, 1))

    assert calls == [1]


async def test_what_fails_after_a_flush_fails_alone(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """An error in what had waited is logged; what waits behind it, and whoever pushed, never learn of it."""
    branch = scene.branch("r", "ann")
    calls: list[int] = []

    def fail() -> None:
        raise ValueError("bug")

    def arise() -> None:
        scene.flusher.after_flush(fail)
        scene.flusher.after_flush(lambda: calls.append(1))

    scene.within["ann"] = arise
    scene.push(branch, "large", 100)

    assert calls == [1]
    assert "ValueError: bug" in caplog.text


async def test_full_batch_that_arises_after_a_flush_is_its_own_flush(scene: Scene) -> None:
    """What a flush entails may fill another batch; its flush comes after the first, and the rest after both."""
    branch = scene.branch("r", "ann")
    calls: list[int] = []

    def arise() -> None:
        scene.flusher.after_flush(lambda: scene.push(branch, "large", 100))
        scene.flusher.after_flush(lambda: calls.append(len(scene.written)))

    scene.within["ann"] = arise
    scene.push(branch, 1)

    await passes()

    assert scene.written == [("ann", (1,)), ("ann", ("large",))]
    assert calls == [2]


async def test_send_between_two_flushes_stays_behind_what_is_pending(scene: Scene) -> None:
    """A direct send that a flush entails does not overtake an earlier push of a room whose turn comes next."""
    first, second = scene.branch("r", "ann"), scene.branch("s", "bob")
    scene.within["ann"] = lambda: scene.flusher.after_flush(lambda: scene.send("bob", "direct"))
    scene.push(first, 1)
    scene.push(second, 2)

    await passes()

    assert scene.written == [("ann", (1,)), ("bob", (2, "direct"))]


async def test_branch_that_was_flushed_meanwhile_is_not_flushed_again(scene: Scene) -> None:
    """A batch that filled up while another was flushed has been written; its turn passes."""
    first, second = scene.branch("r", "ann"), scene.branch("s", "bob")
    scene.within["ann"] = lambda: scene.flusher.after_flush(lambda: scene.push(second, "large", 100))
    scene.push(first, 1)
    scene.push(second, 2)

    await passes()

    assert scene.written == [("ann", (1,)), ("bob", (2, "large"))]
    assert scene.counters.flushes == 2


async def test_push_that_a_flush_entails_is_written(scene: Scene) -> None:
    """A push after a flush is scheduled like any other."""
    branch = scene.branch("r", "ann")
    scene.within["ann"] = lambda: scene.flusher.after_flush(lambda: scene.push(branch, 2))
    scene.push(branch, 1)

    await passes(2)

    assert scene.written == [("ann", (1,)), ("ann", (2,))]


async def test_broken_members_are_told_of_before_what_waits(scene: Scene) -> None:
    """A member whose writer raised is handed over once its flush has ended."""
    error = OSError("gone")
    branch = scene.branch("r", "ann", "bob")

    def fail() -> None:
        raise error

    scene.within["ann"] = fail
    scene.push(branch, 1)

    await passes()

    assert scene.broken == [("ann", error)]
    assert scene.written[-1] == ("bob", (1,))


async def test_deserted_branch_is_not_counted_as_a_flush(scene: Scene) -> None:
    """A batch whose last member has left is written to nobody and counted nowhere."""
    branch = scene.branch("r", "ann")
    scene.push(branch, 1)
    branch.pending = []

    await passes()

    assert scene.counters.flushes == 0


@pytest.mark.parametrize("rooms", [1, 3])
async def test_pending_of_a_member_is_found_either_way(scene: Scene, rooms: int) -> None:
    """Whether a member has fewer rooms than there are batches or more, the same is owed to it."""
    busy = scene.branch("busy", "ann")
    branches = {RoomName(f"quiet {i}"): scene.branch(f"quiet {i}", "ann") for i in range(rooms)}
    branches[RoomName("busy")] = busy
    for name in ("x", "y"):
        scene.push(scene.branch(name, "bob"), 0)
    scene.push(busy, 1)

    assert scene.flusher.pending_of(branches, "ann") == [busy]


async def test_flush_all_writes_everything_now(scene: Scene) -> None:
    """Closing a hub waits for no pass."""
    first, second = scene.branch("r", "ann"), scene.branch("s", "bob")
    scene.push(first, 1)
    scene.push(second, 2)

    scene.flusher.flush_all()

    assert scene.written == [("ann", (1,)), ("bob", (2,))]
    await passes()
    assert scene.counters.flushes == 2


async def test_stop_forgets_what_is_scheduled(scene: Scene) -> None:
    """A stopped flusher leaves no callback behind, and may be stopped again."""
    scene.push(scene.branch("r", "ann"), 1)

    scene.flusher.stop()
    scene.flusher.stop()

    await passes()
    assert scene.written == []
