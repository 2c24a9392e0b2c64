"""The channel layer of one process, by Channels' specification."""

from __future__ import annotations

import asyncio
import gc
import logging
import re
import threading
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from channels.exceptions import ChannelFull, InvalidChannelLayerError

from roomful.django import ChannelLayer
from roomful.django.mailbox import Mailbox, Missed, Waiter
from roomful.testing import FakeClock
from tests.integration.waiting import until


def layer(**config: Any) -> ChannelLayer:
    return ChannelLayer(**config)


async def nothing_on(subject: ChannelLayer, channel: str) -> bool:
    """Whether nothing can be received now."""
    task = asyncio.ensure_future(subject.receive(channel))
    await asyncio.sleep(0)
    is_waiting = not task.done()
    task.cancel()
    await asyncio.wait((task,))
    return is_waiting


# ── Channels ──


async def test_a_message_is_received_as_it_was_sent() -> None:
    subject = layer()
    await subject.send("thumbnails", {"type": "generate", "id": 7})
    assert await subject.receive("thumbnails") == {"type": "generate", "id": 7}


async def test_who_waits_gets_what_comes_in_the_order_of_waiting() -> None:
    subject = layer()
    first = asyncio.ensure_future(subject.receive("c"))
    second = asyncio.ensure_future(subject.receive("c"))
    await asyncio.sleep(0)
    await subject.send("c", {"n": 1})
    await subject.send("c", {"n": 2})
    assert [await first, await second] == [{"n": 1}, {"n": 2}]


async def test_a_receiver_that_is_cancelled_loses_nothing() -> None:
    subject = layer()
    first = asyncio.ensure_future(subject.receive("c"))
    second = asyncio.ensure_future(subject.receive("c"))
    await asyncio.sleep(0)
    await subject.send("c", {"n": 1})
    first.cancel()
    assert await second == {"n": 1}


async def test_a_receiver_has_a_copy_of_its_own() -> None:
    subject = layer()
    names = [await subject.new_channel() for _ in range(2)]
    for name in names:
        await subject.group_add("g", name)
    message = {"type": "x", "deep": {"list": [1]}}
    await subject.group_send("g", message)
    message["deep"]["list"].append(2)  # type: ignore[index] # a dict of any values
    one = await subject.receive(names[0])
    one["deep"]["list"].append(3)
    assert await subject.receive(names[1]) == {"type": "x", "deep": {"list": [1]}}


async def test_a_channel_is_full_by_bytes_too() -> None:
    subject = layer(max_channel_bytes=100)
    await subject.send("c", {"text": "x" * 200})  # one alone may be larger
    with pytest.raises(ChannelFull, match=r"100 bytes \(max_channel_bytes\)"):
        await subject.send("c", {"text": "x"})
    assert await subject.receive("c") == {"text": "x" * 200}
    await subject.send("c", {"text": "x"})


async def test_a_full_channel_refuses_what_is_sent() -> None:
    subject = layer(capacity=1)
    await subject.send("c", {"n": 1})
    with pytest.raises(ChannelFull, match=r"channel 'c' is full; the limits are 1 messages"):
        await subject.send("c", {"n": 2})


async def test_capacity_follows_the_first_pattern_that_matches() -> None:
    subject = layer(capacity=5, channel_capacity={"tiny*": 1, re.compile("t.*"): 3})
    assert [subject.get_capacity(name) for name in ("tiny-1", "two", "other")] == [1, 3, 5]


async def test_names_of_new_channels_are_of_this_process_alone() -> None:
    subject, other = layer(), layer()
    name = await subject.new_channel("chat")
    assert name.startswith("chat.")
    assert len(name) < 100
    with pytest.raises(AssertionError, match="belongs to another process"):
        await other.receive(name)


# ── What may be sent where ──


@pytest.mark.parametrize("name", ["=+135!", "chat room", "räume", "", "a" * 100, "a:b", 7, None])
async def test_names_that_are_none_are_refused(name: Any) -> None:
    subject = layer()
    for call in (
        subject.group_add(name, "c"),
        subject.group_send(name, {}),
        subject.group_discard(name, "c"),
    ):
        with pytest.raises(TypeError, match=r"ASCII alphanumerics.* Got"):
            await call
    for call in (subject.send(name, {}), subject.receive(name), subject.group_add("g", name)):
        with pytest.raises(TypeError, match=r"ASCII alphanumerics.* Got"):
            await call


@pytest.mark.parametrize("message", ["text", None, {"__asgi_channel__": "c"}])
async def test_what_is_no_message_is_refused(message: Any) -> None:
    subject = layer()
    with pytest.raises(TypeError, match="message"):
        await subject.send("c", message)
    with pytest.raises(AssertionError, match="message"):
        await subject.group_send("g", message)


@pytest.mark.parametrize(
    ("config", "error"),
    [
        ({"capacity": 0}, "capacity is 0"),
        ({"expiry": -1}, "expiry is -1"),
        ({"host": "x"}, "'host', which is not known"),
        ({"on_full": "panic"}, "on_full is 'panic'"),
    ],
)
def test_a_configuration_that_cannot_work_is_told(config: dict[str, Any], error: str) -> None:
    with pytest.raises(InvalidChannelLayerError, match=error):
        layer(**config)


# ── Groups ──


async def test_a_group_reaches_its_channels_and_no_other() -> None:
    subject = layer()
    names = [await subject.new_channel() for _ in range(3)]
    for name in names:
        await subject.group_add("g", name)
    await subject.group_discard("g", names[1])
    await subject.group_send("g", {"n": 1})
    assert [await subject.receive(names[0]), await subject.receive(names[2])] == [{"n": 1}, {"n": 1}]
    assert await nothing_on(subject, names[1])


async def test_a_channel_that_is_full_misses_what_the_others_get_and_it_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    subject = layer(capacity=1)
    await subject.group_add("g", "one")
    await subject.group_add("g", "two")
    await subject.send("one", {"n": 0})
    with caplog.at_level(logging.WARNING, logger="roomful.django"):
        await subject.group_send("g", {"n": 1})
        await subject.group_send("g", {"n": 2})
    assert await subject.receive("one") == {"n": 0}
    assert await subject.receive("two") == {"n": 1}
    assert subject.statistics().full == 3
    # One line a second, whatever happens.
    assert [record.getMessage() for record in caplog.records] == ["1 of 2 channels over capacity in group g"]


async def test_a_drop_is_raised_where_the_caller_asks() -> None:
    subject = layer(capacity=1)
    await subject.group_add("g", "one")
    await subject.group_send("g", {"n": 1}, on_full="raise")
    with pytest.raises(ChannelFull, match="1 of 1 channels over capacity in group g"):
        await subject.group_send("g", {"n": 2}, on_full="raise")


async def test_a_drop_is_raised_where_the_configuration_says_so() -> None:
    subject = layer(capacity=1, on_full="raise")
    await subject.group_add("g", "one")
    await subject.group_send("g", {"n": 1})
    with pytest.raises(ChannelFull):
        await subject.group_send("g", {"n": 2})


async def test_one_expired_message_evicts_nobody() -> None:
    clock = FakeClock()
    subject = layer(expiry=60, clock=clock)
    name = await subject.new_channel()
    await subject.group_add("g", name)
    await subject.group_send("g", {"n": 1})
    clock.advance(61)
    await subject.group_send("g", {"n": 2})
    assert await subject.receive(name) == {"n": 2}


async def test_expired_messages_make_room() -> None:
    clock = FakeClock()
    subject = layer(expiry=60, capacity=1, clock=clock)
    await subject.send("c", {"n": 1})
    clock.advance(61)
    await subject.send("c", {"n": 2})
    assert await subject.receive("c") == {"n": 2}
    assert subject.statistics().expired == 1


async def test_what_expires_before_a_consumer_takes_it_is_told_and_counted() -> None:
    clock = FakeClock()
    subject = layer(expiry=60, clock=clock)
    name = await subject.new_channel()
    await subject.group_add("g", name)
    mailbox = subject.listen(name, Waiter(asyncio.get_running_loop(), threading.get_ident(), lambda: None))
    await subject.group_send("g", {"n": 1})
    await subject.send(name, {"n": 2})
    clock.advance(61)
    await subject.group_send("g", {"n": 3})
    missed = subject.take(mailbox)
    assert isinstance(missed, Missed)
    assert missed.count == 2
    assert subject.take(mailbox) == {"n": 3}
    assert subject.statistics().expired == 2


async def test_what_expires_before_it_is_received_is_counted() -> None:
    clock = FakeClock()
    subject = layer(expiry=60, clock=clock)
    await subject.send("c", {"n": 1})
    clock.advance(30)
    await subject.send("c", {"n": 2})
    clock.advance(30)
    assert await subject.receive("c") == {"n": 2}
    assert subject.statistics().expired == 1


@pytest.mark.parametrize("to", ["g", "c"])
async def test_what_is_nested_too_deep_is_told_to_its_sender(to: str) -> None:
    subject = layer()
    deep: Any = []
    for _ in range(700):
        deep = [deep]
    name = await subject.new_channel()
    await subject.group_add("g", name)
    with pytest.raises(ValueError, match="message is nested deeper than 100"):
        await (subject.group_send("g", {"deep": deep}) if to == "g" else subject.send(name, {"deep": deep}))
    assert await nothing_on(subject, name)


async def listening(subject: ChannelLayer, count: int, wake: Callable[[], None]) -> list[Mailbox]:
    waiter = Waiter(asyncio.get_running_loop(), threading.get_ident(), wake)
    mailboxes = []
    for _ in range(count):
        name = await subject.new_channel()
        await subject.group_add("g", name)
        mailboxes.append(subject.listen(name, waiter))
    return mailboxes


async def test_many_are_woken_once_for_what_comes_while_it_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("roomful.django.gathering.HOLD_S", 60.0)
    subject = layer()
    woken: list[int] = []
    mailboxes = await listening(subject, 32, lambda: woken.append(len(mailboxes[len(woken)])))

    async def send_soon() -> None:
        for _ in range(3):  # of the passes in which a client's message gets here
            await asyncio.sleep(0)
        await subject.group_send("g", {"n": 2})

    other = asyncio.ensure_future(send_soon())
    await subject.group_send("g", {"n": 1})
    await subject.group_send("g", {"n": 3})
    await other
    await until(lambda: bool(woken))
    assert woken == [3] * 32


async def test_who_is_held_by_one_group_is_woken_before_another_fills_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("roomful.django.gathering.HOLD_S", 60.0)
    subject = layer()
    woken: list[int] = []
    [mailbox] = await listening(subject, 1, lambda: woken.append(len(mailbox)))
    [name] = subject._board.groups["g"]
    await subject.group_add("other", name)
    with subject._board.gathering.sending("g"):
        subject._board.group_send("g", {"n": 1}, subject.clock())
        for n in range(60):
            await subject.group_send("other", {"n": n})
            if woken:
                break
    assert woken == [26]
    assert subject.statistics().full == 0


async def test_few_are_woken_before_their_sender_goes_on() -> None:
    woken: list[int] = []
    subject = layer()
    await listening(subject, 31, lambda: woken.append(1))
    await subject.group_send("g", {"n": 1})
    assert len(woken) == 31


async def test_many_are_woken_for_what_a_cancelled_sender_has_sent() -> None:
    woken: list[int] = []
    subject = layer()
    await listening(subject, 32, lambda: woken.append(1))
    sending = asyncio.ensure_future(subject.group_send("g", {"n": 1}))
    await asyncio.sleep(0)
    sending.cancel()
    await asyncio.wait((sending,))
    await until(lambda: len(woken) == 32)
    assert sending.cancelled()
    assert subject.statistics().sent == 32


async def test_many_are_woken_for_what_a_thread_sends() -> None:
    woken: list[int] = []
    subject = layer()
    await listening(subject, 32, lambda: woken.append(1))
    await asyncio.to_thread(asyncio.run, subject.group_send("g", {"n": 1}))
    await until(lambda: len(woken) == 32)


async def test_many_are_woken_at_once_where_one_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("roomful.django.gathering.HOLD_S", 60.0)
    woken: list[int] = []
    subject = layer(capacity=1)
    mailboxes = await listening(subject, 32, lambda: woken.append(1))
    await subject.send(mailboxes[0].name, {"n": 1})
    woken.clear()
    with pytest.raises(ChannelFull, match="1 of 32 channels"):
        await subject.group_send("g", {"n": 2}, on_full="raise")
    assert len(woken) == 31


async def test_no_membership_ends_by_age_while_somebody_receives() -> None:
    clock = FakeClock()
    subject = layer(group_expiry=86400, clock=clock)
    name = await subject.new_channel()
    await subject.group_add("g", name)
    waiting = asyncio.ensure_future(subject.receive(name))
    await asyncio.sleep(0)
    clock.advance(86401)
    await subject.group_send("g", {"n": 1})
    assert await waiting == {"n": 1}


async def test_a_channel_that_nobody_receives_from_falls_out_of_its_groups() -> None:
    clock = FakeClock()
    subject = layer(group_expiry=86400, clock=clock)
    await subject.group_add("g", "c")
    clock.advance(86401)
    await subject.group_send("g", {"n": 1})
    assert subject.groups == {}
    assert subject.channels == {}


async def test_a_consumer_that_died_leaves_nothing() -> None:
    clock = FakeClock()
    subject = layer(expiry=60, clock=clock)
    name = await subject.new_channel()
    await subject.group_add("g", name)
    await subject.group_send("g", {"n": 1})
    del name
    gc.collect()
    for _ in range(3):
        await subject.group_send("other", {"n": 2})
        clock.advance(61)
    assert subject.groups == {}
    assert subject.channels == {}


async def test_a_channel_lives_on_under_a_copy_of_its_name() -> None:
    clock = FakeClock()
    subject = layer(expiry=60, clock=clock)
    name = await subject.new_channel()
    copy = "".join(name)
    await subject.group_add("g", name)
    del name
    gc.collect()
    waiting = asyncio.ensure_future(subject.receive(copy))
    for _ in range(3):
        await asyncio.sleep(0)
        await subject.group_send("other", {"n": 2})
        clock.advance(61)
    await subject.group_send("g", {"n": 1})
    assert await waiting == {"n": 1}
    assert "g" in subject.groups


async def test_flush_forgets_everything() -> None:
    subject = layer()
    await subject.group_add("g", "c")
    await subject.send("c", {"n": 1})
    await subject.flush()
    assert subject.groups == {}
    assert subject.channels == {}


# ── Loops and threads ──


def test_a_channel_is_received_on_another_loop_than_it_was_sent_from() -> None:
    subject = layer()
    name = async_to_sync(subject.new_channel)()
    async_to_sync(subject.send)(name, {"n": 1})
    assert async_to_sync(subject.receive)(name) == {"n": 1}


async def test_a_message_of_another_thread_wakes_who_waits() -> None:
    subject = layer()
    name = await subject.new_channel()
    await subject.group_add("g", name)
    waiting = asyncio.ensure_future(subject.receive(name))
    await asyncio.sleep(0)
    thread = threading.Thread(target=lambda: asyncio.run(subject.group_send("g", {"n": 1})))
    thread.start()
    assert await asyncio.wait_for(waiting, 5) == {"n": 1}
    await until(lambda: not thread.is_alive())
