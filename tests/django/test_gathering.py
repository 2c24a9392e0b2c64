"""Consumers of a group are woken together for messages that follow each other closely."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

from roomful.django.gathering import HOLD_MESSAGES, Gathering
from roomful.django.mailbox import Waiter


class Woken:
    """Counts how often it is woken."""

    def __init__(self) -> None:
        self.count = 0
        self.event = asyncio.Event()

    def __call__(self) -> None:
        self.count += 1
        self.event.set()


def waiter(woken: Woken) -> Waiter:
    return Waiter(asyncio.get_running_loop(), threading.get_ident(), woken)


async def test_who_listens_is_woken_at_once_when_nobody_sends() -> None:
    woken = Woken()
    Gathering().wake("g", [waiter(woken)], at_once=False)
    assert woken.count == 1


async def test_sends_to_another_group_hold_nothing_up() -> None:
    subject, woken = Gathering(), Woken()
    with subject.sending("other"):
        subject.wake("g", [waiter(woken)], at_once=False)
        assert woken.count == 1


async def test_a_sender_that_goes_on_gathers_its_messages() -> None:
    subject, first, second = Gathering(), Woken(), Woken()
    with subject.sending("g"):
        subject.wake("g", [waiter(first)], at_once=False)
    with subject.sending("g"):  # in the same pass of the loop, as a handler that has the next message ready
        await asyncio.sleep(0)
        assert first.count == 0
        subject.wake("g", [waiter(second)], at_once=False)
    await asyncio.wait_for(second.event.wait(), 5)
    assert (first.count, second.count) == (1, 1)


async def test_a_sender_that_stops_wakes_in_the_next_pass() -> None:
    subject, woken = Gathering(), Woken()
    with subject.sending("g"):
        subject.wake("g", [waiter(woken)], at_once=False)
    await asyncio.sleep(0)
    assert woken.count == 1


async def test_a_filling_mailbox_is_not_held_up() -> None:
    subject, woken = Gathering(), Woken()
    with subject.sending("g"):
        subject.wake("g", [waiter(woken)], at_once=True)
        assert woken.count == 1


async def test_many_messages_are_not_held_up() -> None:
    subject, woken = Gathering(), Woken()
    with subject.sending("g"):
        for _ in range(HOLD_MESSAGES - 1):
            subject.wake("g", [waiter(woken)], at_once=False)
        assert woken.count == 0
        subject.wake("g", [], at_once=False)
        assert woken.count == HOLD_MESSAGES - 1


async def test_a_send_that_takes_long_holds_nothing_up_for_long() -> None:
    subject, woken = Gathering(), Woken()
    with subject.sending("g"):
        subject.wake("g", [waiter(woken)], at_once=False)
        assert woken.count == 0
        await asyncio.wait_for(woken.event.wait(), 5)
    await asyncio.sleep(0)
    assert woken.count == 1


async def test_nothing_is_kept_of_a_group_that_nobody_sends_to() -> None:
    subject = Gathering()
    with subject.sending("g"):
        pass
    await asyncio.sleep(0)
    assert subject._groups == {}


def test_a_send_that_ends_without_its_loop_wakes_too() -> None:
    subject, loop = Gathering(), asyncio.new_event_loop()
    count = []

    async def hold() -> AbstractContextManager[None]:
        sending = subject.sending("g")
        sending.__enter__()
        subject.wake("g", [Waiter(loop, threading.get_ident(), lambda: count.append(1))], at_once=False)
        return sending

    sending = loop.run_until_complete(hold())
    sending.__exit__(None, None, None)
    loop.close()
    assert count == [1]


def test_a_send_may_end_in_the_collector_while_its_thread_announces() -> None:
    subject, loop = Gathering(), asyncio.new_event_loop()
    count = []

    def collecting(sending: AbstractContextManager[None]) -> Iterator[Waiter]:
        sending.__exit__(None, None, None)
        yield Waiter(loop, threading.get_ident(), lambda: count.append(1))

    async def announce() -> None:
        sending = subject.sending("g")
        sending.__enter__()
        waiters: Any = collecting(sending)
        subject.wake("g", waiters, at_once=False)
        await asyncio.sleep(0)

    thread = threading.Thread(target=lambda: loop.run_until_complete(announce()), daemon=True)
    thread.start()
    thread.join(5)
    assert not thread.is_alive()
    loop.close()
    assert count == [1]
