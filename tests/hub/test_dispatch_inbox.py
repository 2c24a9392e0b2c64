"""The dispatch inbox: bounded, in order, and exact about what it did not take."""

from __future__ import annotations

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from roomful.core.dispatched import Dispatched, Missed
from roomful.core.envelope import Envelope, Form
from roomful.core.names import RoomName
from roomful.core.positions import Gap, Position
from roomful.hub.dispatch_inbox import DispatchInbox

A, B = RoomName("a"), RoomName("b")

STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["offer", "refuse"]), st.sampled_from([A, B]), st.integers(0, 25)),
        st.tuples(st.just("take"), st.just(A), st.just(0)),
        st.tuples(st.sampled_from(["lose", "epoch"]), st.sampled_from([A, B]), st.just(0)),
    ),
    max_size=60,
)


def dispatch(group: RoomName, offset: int, size: int = 1, epoch: str = "e") -> Dispatched:
    return Dispatched(group, Position(epoch, offset), Envelope(Form.TEXT, b"x" * size))


class Consumer:
    """What each group's consumer must see: every offset, handled or told, in the order of the group."""

    def __init__(self) -> None:
        self.due: dict[RoomName, deque[tuple[str, int, bool]]] = {A: deque(), B: deque()}

    def see(self, item: Dispatched | Missed) -> None:
        due = self.due[item.group]
        if isinstance(item, Dispatched):
            assert due.popleft() == (item.at.epoch, item.at.offset, True)
            return
        assert item.gap.ranges is not None
        for first, last in item.gap.ranges:
            for offset in range(first, last + 1):
                assert due.popleft() == (item.gap.epoch, offset, False)


@given(STEPS)
def test_consumer_sees_every_dispatch_or_its_exact_place_in_a_notice(
    steps: list[tuple[str, RoomName, int]],
) -> None:
    """Whatever fits is there, whatever does not stands in a notice before what follows it; nothing is in both."""
    inbox = DispatchInbox(max_messages=3, max_bytes=20)
    consumer = Consumer()
    tops = {A: 0, B: 0}
    epochs = {A: 0, B: 0}
    waiting: list[Dispatched] = []
    turns = 0
    for step, group, size in steps:
        before = len(inbox)
        if step == "take":
            item = inbox.take()
            assert (item is not None) == (turns > 0)
            turns -= turns > 0
            if isinstance(item, Dispatched):
                assert waiting.pop(0) == item
            if item is not None:
                consumer.see(item)
            continue
        epoch = f"e{epochs[group]}"
        if step == "epoch":
            epochs[group] += 1
            tops[group] = 0
            continue
        tops[group] += 1
        offset = tops[group]
        if step == "lose":
            inbox.miss(Missed(group, Gap("evicted", epoch, ((offset, offset),))))
            consumer.due[group].append((epoch, offset, False))
        else:
            item = dispatch(group, offset, size, epoch)
            fits = not waiting or (
                len(waiting) < 3 and sum(len(one.envelope.body) for one in waiting) + size <= 20
            )
            assert inbox.offer(item) == fits
            if fits:
                waiting.append(item)
                consumer.due[group].append((epoch, offset, True))
            elif step == "offer":
                inbox.note(item)
                consumer.due[group].append((epoch, offset, False))
        assert inbox.dispatches == len(waiting)
        turns += len(inbox) - before

    # As many turns as were asked for are enough, and none is left over.
    for _ in range(turns):
        item = inbox.take()
        assert item is not None
        consumer.see(item)
    assert inbox.take() is None
    assert not any(consumer.due.values())


def test_what_was_not_taken_in_a_row_is_one_notice() -> None:
    """A consumer that was full for long is told once, before the next dispatch of that group."""
    inbox = DispatchInbox(max_messages=1, max_bytes=100)
    assert inbox.offer(dispatch(A, 1))
    for offset in range(2, 100):
        item = dispatch(A, offset)
        assert not inbox.offer(item)
        inbox.note(item)
    assert len(inbox) == 2
    assert isinstance(inbox.take(), Dispatched)
    assert inbox.offer(dispatch(B, 1))
    assert inbox.take() == dispatch(B, 1)
    assert inbox.offer(dispatch(A, 100))

    assert inbox.take() == Missed(A, Gap("full", "e", ((2, 99),)))
    assert inbox.take() == dispatch(A, 100)
