from __future__ import annotations

from roomful.django.letter import Letter
from roomful.django.mailbox import Mailbox, Missed, Waiter


def mailbox(capacity: int = 3) -> Mailbox:
    return Mailbox("c", capacity, max_bytes=100, now=0.0)


def put(box: Mailbox, message: dict[str, object], deadline: float) -> int:
    return box.put(Letter(message, deadline))


def waiter() -> Waiter:
    return Waiter(None, 0, lambda: None)  # type: ignore[arg-type] # nobody is woken here


def test_messages_come_in_their_order() -> None:
    box = mailbox()
    put(box, {"n": 1}, 10)
    put(box, {"n": 2}, 10)
    assert [box.take(1), box.take(1), box.take(1)] == [{"n": 1}, {"n": 2}, None]


def test_what_exceeds_the_capacity_is_refused() -> None:
    box = mailbox(capacity=1)
    assert put(box, {"n": 1}, 10)
    assert not put(box, {"n": 2}, 10)
    assert len(box) == 1


def test_a_listener_finds_how_many_were_refused_where_they_would_have_stood() -> None:
    box = mailbox(capacity=1)
    box.listener = waiter()
    put(box, {"n": 1}, 10)
    box.refuse()
    box.refuse()
    first = box.take_any(1)
    put(box, {"n": 4}, 10)
    missed = box.take_any(1)
    assert first == {"n": 1}
    assert isinstance(missed, Missed)
    assert missed.count == 2
    assert box.take_any(1) == {"n": 4}


def test_without_a_listener_nothing_stands_for_what_was_refused() -> None:
    box = mailbox(capacity=1)
    put(box, {"n": 1}, 10)
    box.refuse()
    assert box.take_any(1) == {"n": 1}
    assert box.take_any(1) is None


def test_what_has_expired_is_not_there_any_more() -> None:
    box = mailbox()
    put(box, {"n": 1}, 5)
    put(box, {"n": 2}, 9)
    assert box.drop_expired(6) == 1
    assert box.take(1) == {"n": 2}


def test_a_listener_finds_how_many_have_expired_before_the_next() -> None:
    box = mailbox(capacity=2)
    box.listener = waiter()
    put(box, {"n": 1}, 5)
    put(box, {"n": 2}, 6)
    box.refuse()
    assert [box.drop_expired(5), box.drop_expired(5), box.drop_expired(6)] == [1, 0, 1]
    put(box, {"n": 4}, 9)
    missed = box.take_any(1)
    assert isinstance(missed, Missed)
    assert missed.count == 3
    assert box.take_any(1) == {"n": 4}
    assert not box.messages


def test_it_is_filling_by_its_messages_and_by_their_bytes() -> None:
    box, few = mailbox(capacity=8), mailbox(capacity=8)
    for _ in range(2):
        put(box, {"n": 1}, 5)
        assert not box.is_filling
    put(box, {"n": 1}, 5)
    assert box.is_filling
    put(few, {"text": "x" * 21}, 5)
    assert not few.is_filling
    put(few, {"text": "x"}, 5)
    assert few.is_filling


def test_a_listener_is_woken_again_while_its_mailbox_is_filling() -> None:
    box = mailbox(capacity=8)
    box.listener = waiter()
    put(box, {"text": "x"}, 5)
    put(box, {"text": "x" * 50}, 5)
    assert box.to_wake() is box.listener


def test_dropping_what_has_expired_makes_room_and_is_counted() -> None:
    box = mailbox(capacity=2)
    put(box, {"n": 1}, 5)
    put(box, {"n": 2}, 9)
    assert box.drop_expired(6) == 1
    assert put(box, {"n": 3}, 9)


def test_a_listener_is_woken_for_the_first_message_only() -> None:
    box = mailbox(capacity=8)
    box.listener = waiter()
    put(box, {"n": 1}, 5)
    assert box.to_wake() is box.listener
    put(box, {"n": 2}, 5)
    assert box.to_wake() is None


def test_who_waits_first_is_woken_first_and_once() -> None:
    box = mailbox()
    first, second = waiter(), waiter()
    box.wait(first)
    box.wait(second)
    put(box, {"n": 1}, 5)
    assert box.to_wake() is first
    assert not box.give_up(first)
    assert box.give_up(second)
    assert box.to_wake() is None


def test_what_exceeds_the_bytes_is_refused_but_one_message_always_fits() -> None:
    box = mailbox(capacity=5)
    assert put(box, {"text": "x" * 1000}, 5) == 1
    assert not put(box, {"text": "x"}, 9)
    assert box.drop_expired(6) == 1
    assert [put(box, {"text": "x" * 46}, 10) for _ in range(3)] == [1, 2, 0]
    box.take(1)
    assert put(box, {"text": "x" * 46}, 10) == 2
