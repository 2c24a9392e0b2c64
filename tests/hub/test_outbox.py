"""The outbox: bounded in messages and in bytes, and in order."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from roomful.core.ports import Frame
from roomful.hub.outbox import Entry, Outbox

MAX_MESSAGES, MAX_BYTES = 4, 10


def entry(size: int, data: object = None) -> Entry:
    return Entry(Frame(data, size))


class OutboxMachine(RuleBasedStateMachine):
    """An outbox agrees with a list of sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.outbox = Outbox(max_messages=MAX_MESSAGES, max_bytes=MAX_BYTES)
        self.model: list[Entry] = []

    @property
    def size(self) -> int:
        return sum(e.frame.size for e in self.model)

    @rule(size=st.integers(0, 15))
    def offer(self, size: int) -> None:
        new = entry(size)
        fits = not self.model or (len(self.model) < MAX_MESSAGES and self.size + size <= MAX_BYTES)

        assert self.outbox.offer(new) is fits
        if fits:
            self.model.append(new)

    @rule(max_bytes=st.integers(0, 20))
    def take(self, max_bytes: int) -> None:
        taken = self.outbox.take(max_bytes)

        assert taken == self.model[: len(taken)]
        total = sum(e.frame.size for e in taken)
        assert len(taken) <= 1 or total <= max_bytes
        rest = self.model[len(taken) :]
        assert not rest or (taken and total + rest[0].frame.size > max_bytes)
        self.model = rest

    @invariant()
    def agrees(self) -> None:
        assert len(self.outbox) == len(self.model)
        assert self.outbox.size == self.size
        half = len(self.model) * 2 <= MAX_MESSAGES and self.size * 2 <= MAX_BYTES
        assert self.outbox.has_room is half
        assert self.size <= MAX_BYTES or len(self.model) == 1


TestOutbox = OutboxMachine.TestCase
TestOutbox.settings = settings(max_examples=40)


def test_empty_outbox_takes_one_frame_of_any_size() -> None:
    """A frame above the bound can reach a member at all, but nothing else beside it."""
    outbox = Outbox(max_messages=4, max_bytes=10)

    assert outbox.offer(entry(1000)) is True
    assert outbox.offer(entry(0)) is False
    assert [e.frame.size for e in outbox.take(10)] == [1000]


def test_full_in_messages_takes_no_more_however_small() -> None:
    """Each of the two bounds holds by itself."""
    outbox = Outbox(max_messages=2, max_bytes=10)

    assert [outbox.offer(entry(0)) for _ in range(3)] == [True, True, False]
