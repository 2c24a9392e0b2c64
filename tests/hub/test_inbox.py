"""The inbox: in order, and it says when its socket should not be read."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from roomful.hub.inbox import Inbox

MAX_MESSAGES, MAX_BYTES = 5, 12


class InboxMachine(RuleBasedStateMachine):
    """An inbox agrees with a list."""

    def __init__(self) -> None:
        super().__init__()
        self.inbox = Inbox(max_messages=MAX_MESSAGES, max_bytes=MAX_BYTES)
        self.model: list[str | bytes] = []

    @rule(message=st.text("ab", max_size=8) | st.binary(max_size=8))
    def put(self, message: str | bytes) -> None:
        self.inbox.put(message)
        self.model.append(message)

    @precondition(lambda self: self.model)
    @rule()
    def take(self) -> None:
        assert self.inbox.take() == self.model.pop(0)

    @invariant()
    def agrees(self) -> None:
        count, size = len(self.model), sum(map(len, self.model))
        assert len(self.inbox) == count
        assert self.inbox.is_full is (count >= MAX_MESSAGES or size >= MAX_BYTES)
        assert self.inbox.has_room is (count * 2 <= MAX_MESSAGES and size * 2 <= MAX_BYTES)
        assert not (self.inbox.is_full and self.inbox.has_room)


TestInbox = InboxMachine.TestCase
TestInbox.settings = settings(max_examples=40)


def test_empty_inbox_has_nothing_to_take() -> None:
    """Taking from an empty inbox is a mistake of the caller, not a wait."""
    with pytest.raises(IndexError):
        Inbox(max_messages=1, max_bytes=1).take()


def test_bounds_of_one_still_have_room_when_empty() -> None:
    """However small its bounds, an empty inbox lets its socket be read."""
    inbox = Inbox(max_messages=1, max_bytes=1)
    inbox.put("large message")
    assert inbox.is_full

    inbox.take()

    assert inbox.has_room
