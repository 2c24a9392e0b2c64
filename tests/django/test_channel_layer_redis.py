"""The channel layer over Redis: the same groups in several processes, of which each layer here stands for one."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import msgspec
import pytest
from asgiref.sync import async_to_sync
from channels.exceptions import ChannelFull, InvalidChannelLayerError, MessageTooLarge

from roomful import LayerError
from roomful.django import ChannelLayer
from roomful.django.hosts import urls_of
from roomful.django.mailbox import Waiter
from roomful.hub.throttle import Throttle
from tests.integration.waiting import until
from tests.layers.servers import BINARIES, Server

MakeLayer = Callable[..., ChannelLayer]


@pytest.fixture(scope="module", params=["redis", "valkey"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    if request.param not in BINARIES:
        pytest.skip(f"no {request.param} server is installed")
    with Server(BINARIES[request.param]) as running:
        yield running


@pytest.fixture
async def make(server: Server) -> AsyncIterator[MakeLayer]:
    """Make layers that share a prefix of this test's own."""
    prefix = secrets.token_hex(6)
    layers: list[ChannelLayer] = []

    def make_layer(**config: Any) -> ChannelLayer:
        layers.append(ChannelLayer(**{"hosts": [server.url], "prefix": prefix, **config}))
        return layers[-1]

    yield make_layer
    for layer in layers:
        await layer.close()


async def member(layer: ChannelLayer, group: str) -> str:
    name = await layer.new_channel()
    await layer.group_add(group, name)
    return name


async def test_a_group_reaches_its_channels_in_every_process_in_one_order(make: MakeLayer) -> None:
    one, two = make(), make()
    names = [(layer, await member(layer, "g")) for layer in (one, two) for _ in range(2)]
    for number in range(10):
        await (one, two)[number % 2].group_send(
            "g", {"type": "x", "n": number, "b": b"\x00\xff", "l": [1, None]}
        )
    for layer, name in names:
        got = [await layer.receive(name) for _ in range(10)]
        assert [message["n"] for message in got] == list(range(10))
        assert got[0] == {"type": "x", "n": 0, "b": b"\x00\xff", "l": [1, None]}


async def test_a_message_reaches_the_channel_of_another_process(make: MakeLayer) -> None:
    one, two = make(), make()
    name = await two.new_channel()
    await one.send(name, {"n": 1})
    assert await two.receive(name) == {"n": 1}
    with pytest.raises(AssertionError, match="another process"):
        await one.receive(name)


async def test_a_channel_can_be_put_into_a_group_by_another_process(make: MakeLayer) -> None:
    one, two = make(), make()
    name = await two.new_channel()
    await one.group_add("g", name)
    await one.group_add("g", "everybody")
    await one.group_send("g", {"n": 1})
    assert await two.receive(name) == {"n": 1}
    assert await two.receive("everybody") == {"n": 1}
    await one.group_discard("g", name)
    await one.group_discard("g", "everybody")
    await one.group_send("g", {"n": 2})
    await two.send(name, {"n": 3})
    assert await two.receive(name) == {"n": 3}


async def test_each_message_of_a_named_channel_goes_to_one_receiver(make: MakeLayer) -> None:
    one, two = make(), make()
    tasks = [asyncio.ensure_future(layer.receive("work")) for layer in (one, two) for _ in range(2)]
    for number in range(4):
        await one.send("work", {"n": number})
    got = await asyncio.wait_for(asyncio.gather(*tasks), 5)
    assert sorted(message["n"] for message in got) == [0, 1, 2, 3]


async def test_a_named_channel_keeps_its_order_and_has_a_capacity(make: MakeLayer) -> None:
    layer = make(capacity=3)
    for number in range(3):
        await layer.send("work", {"n": number})
    with pytest.raises(ChannelFull, match="'work' is full: 3 messages"):
        await layer.send("work", {"n": 3})
    assert [(await layer.receive("work"))["n"] for _ in range(3)] == [0, 1, 2]


async def test_a_receiver_of_a_named_channel_that_is_cancelled_loses_nothing(make: MakeLayer) -> None:
    layer = make()
    for number in range(20):
        waiting = asyncio.ensure_future(layer.receive("work"))
        await asyncio.sleep(0)
        sending = asyncio.ensure_future(layer.send("work", {"n": number}))
        await asyncio.sleep(number / 10_000)
        waiting.cancel()
        await sending
        try:
            message = await waiting
        except asyncio.CancelledError:
            message = await asyncio.wait_for(layer.receive("work"), 5)
        assert message == {"n": number}


async def test_what_nobody_takes_from_a_named_channel_expires_and_makes_room(make: MakeLayer) -> None:
    layer = make(capacity=1, expiry=0.05)
    await layer.send("work", {"n": 1})

    async def goes() -> bool:
        try:
            await layer.send("work", {"n": 2})
        except ChannelFull:
            return False
        return True

    async with asyncio.timeout(5):
        while not await goes():  # noqa: ASYNC110 -- it is about the clock of a server
            await asyncio.sleep(0.01)
    assert await asyncio.wait_for(layer.receive("work"), 5) == {"n": 2}


async def test_a_full_channel_is_told_and_raised_where_it_is_asked_for(make: MakeLayer) -> None:
    layer = make(capacity=1)
    name = await member(layer, "g")
    await layer.group_send("g", {"n": 1}, on_full="raise")
    with pytest.raises(ChannelFull, match="1 channels over capacity in group g"):
        await layer.group_send("g", {"n": 2}, on_full="raise")
    assert layer.statistics().full == 1
    assert await layer.receive(name) == {"n": 1}


async def test_a_group_without_channels_here_is_not_received(make: MakeLayer) -> None:
    layer = make()
    name = await member(layer, "g")
    exchange: Any = layer._exchange
    assert exchange.is_received("g")
    await layer.group_discard("g", name)
    await until(lambda: not exchange.is_received("g"))
    await layer.group_add("g", name)
    await layer.group_send("g", {"n": 1})
    assert await layer.receive(name) == {"n": 1}


async def test_flush_forgets_queues_and_groups_of_the_prefix_alone(make: MakeLayer, server: Server) -> None:
    layer, other = make(), ChannelLayer([server.url], prefix=secrets.token_hex(6))
    await layer.send("work", {"n": 1})
    await other.send("work", {"n": 2})
    await member(layer, "g")
    await layer.flush()
    assert layer.groups == {}
    assert await asyncio.wait_for(other.receive("work"), 5) == {"n": 2}
    await layer.send("work", {"n": 3})
    assert await layer.receive("work") == {"n": 3}
    await other.close()


def test_it_is_used_from_loops_that_live_for_one_call(server: Server) -> None:
    layer = ChannelLayer([server.url], prefix=secrets.token_hex(6))
    name = async_to_sync(layer.new_channel)()
    async_to_sync(layer.group_add)("g", name)
    for number in range(3):
        async_to_sync(layer.group_send)("g", {"n": number})
    assert [async_to_sync(layer.receive)(name)["n"] for _ in range(3)] == [0, 1, 2]
    async_to_sync(layer.close)()


async def test_what_is_too_large_or_cannot_travel_is_refused(make: MakeLayer) -> None:
    layer = make(max_message_bytes=100)
    with pytest.raises(MessageTooLarge, match=r"message is \d+ bytes; the limit is 100"):
        await layer.group_send("g", {"text": "x" * 100})
    with pytest.raises(TypeError, match="cannot travel between processes"):
        await layer.send("work", {"o": object()})


async def test_a_server_that_is_not_there_is_told() -> None:
    layer = ChannelLayer(["unix:///nowhere/at/all"])
    with pytest.raises(LayerError, match="nowhere"):
        await layer.new_channel()
    await layer.close()


async def test_what_came_while_the_connection_was_away_is_read_again(make: MakeLayer, server: Server) -> None:
    one, two = make(), make()
    name = await member(one, "g")
    await two.group_send("g", {"n": 0})
    exchange: Any = one._exchange
    line = exchange._shards[0].layer._line
    server.hide()
    await exchange.run(_end(line))
    for number in range(1, 4):
        await two.group_send("g", {"n": number})
    server.show()
    got = [await asyncio.wait_for(one.receive(name), 10) for _ in range(4)]
    assert [message["n"] for message in got] == [0, 1, 2, 3]


async def _end(line: Any) -> None:
    line.link.end("as a network does")


@pytest.mark.parametrize(
    ("hosts", "urls"),
    [
        (["redis://a:1/2"], ("redis://a:1/2",)),
        ([("a", 7)], ("redis://a:7/0",)),
        ([{"address": "redis://a"}], ("redis://a",)),
        ([{"host": "a", "port": 7, "db": 3, "password": "p:@/"}], ("redis://:p%3A%40%2F@a:7/3",)),
        ([{"host": "::1"}], ("redis://[::1]:6379/0",)),
        ([{"path": "/s", "db": 1}], ("unix:///s?db=1",)),
        ([{"host": "a", "ssl": True, "ssl_cert_reqs": "none"}], ("rediss://a:6379/0?ssl_cert_reqs=none",)),
    ],
)
def test_hosts_are_read_as_channels_redis_takes_them(hosts: Any, urls: tuple[str, ...]) -> None:
    assert urls_of(hosts) == urls


@pytest.mark.parametrize(
    ("hosts", "error"),
    [
        ("redis://a", "expected a list"),
        ([7], "host is of type int"),
        ([{"sentinels": [], "master_name": "m"}], "sentinels"),
        ([{"host": "a", "hots": 1}], "'hots'"),
        (["carrier://a"], "cannot be used"),
    ],
)
def test_hosts_that_are_none_are_told(hosts: Any, error: str) -> None:
    with pytest.raises(InvalidChannelLayerError, match=error):
        ChannelLayer(hosts)


async def test_messages_that_are_sent_one_after_another_wake_a_consumer_once(
    make: MakeLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("roomful.django.gathering.HOLD_S", 60.0)
    layer, woken = make(), asyncio.Event()
    batches: list[list[Any]] = []

    def wake() -> None:
        batches.append([])
        while (message := layer.take(mailbox)) is not None:
            batches[-1].append(message)
        woken.set()

    name = await member(layer, "g")
    mailbox = layer.listen(name, Waiter(asyncio.get_running_loop(), threading.get_ident(), wake))
    for number in range(3):
        await layer.group_send("g", {"type": "x", "n": number})
    await asyncio.wait_for(woken.wait(), 5)
    assert batches == [[{"type": "x", "n": number} for number in range(3)]]


async def test_a_mailbox_that_fills_by_its_bytes_is_taken_before_it_is_full(
    make: MakeLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("roomful.django.gathering.HOLD_S", 60.0)
    layer, sizes = make(max_channel_bytes=1024 * 1024), []

    def wake() -> None:
        while isinstance(message := layer.take(mailbox), dict):
            sizes.append(len(message["text"]))

    name = await member(layer, "g")
    mailbox = layer.listen(name, Waiter(asyncio.get_running_loop(), threading.get_ident(), wake))
    for _ in range(3):
        await layer.group_send("g", {"type": "x", "text": "x" * 400_000})
    await until(lambda: len(sizes) == 3)
    assert layer.statistics().full == 0


@pytest.mark.parametrize("to", ["group", "channel", "queue"])
async def test_what_no_consumer_could_open_is_logged_and_ends_nothing(
    to: str, make: MakeLayer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("roomful.django.letter._unreadable", Throttle(every_s=0))
    layer = make()
    name = await member(layer, "g")
    exchange: Any = layer._exchange
    deep: Any = ()
    for _ in range(400):
        deep = (deep,)
    for foreign in ({"type": "x", "deep": deep}, {"type": "x", "keys": {deep: 1}}, [1]):
        payload = msgspec.msgpack.encode(foreign)
        if to == "group":
            await exchange.run(exchange.group_send("g", payload, layer.get_capacity))
        else:
            await exchange.run(exchange.send(name if to == "channel" else "work", payload, 3))
    if to == "queue":
        name = "work"
        await layer.send(name, {"type": "x", "n": 1})
    else:
        await layer.group_send("g", {"type": "x", "n": 1})
    assert await asyncio.wait_for(layer.receive(name), 5) == {"type": "x", "n": 1}
    assert sum("cannot be read" in record.message for record in caplog.records) == 3


async def test_what_others_wrote_into_a_queue_is_passed_over(make: MakeLayer) -> None:
    layer = make()
    exchange: Any = layer._exchange
    queue = exchange._queues[0]
    for number in range(2):
        await exchange.run(queue._command("RPUSH", queue._key("work"), "7 of somebody else"))
        await layer.send("work", {"n": number})
        await exchange.run(queue._command("RPUSH", queue._key("work"), ""))
    assert await asyncio.wait_for(layer.receive("work"), 5) == {"n": 0}
    assert await asyncio.wait_for(layer.receive("work"), 5) == {"n": 1}


async def test_what_is_nested_too_deep_is_told_to_its_sender(make: MakeLayer) -> None:
    layer = make()
    deep: Any = []
    for _ in range(700):
        deep = [deep]
    name = await member(layer, "g")
    for sending in (
        layer.group_send("g", {"deep": deep}),
        layer.send("work", {"deep": deep}),
        layer.send(name, {"deep": deep}),
    ):
        with pytest.raises(ValueError, match="message is nested deeper than"):
            await sending


async def test_a_send_that_waits_for_its_message_ends_with_the_layer(
    make: MakeLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("roomful.django.exchange._OWN_DELIVERY_S", 60.0)
    monkeypatch.setattr("roomful.django.exchange._is_past", lambda top, at: False)
    layer = make()
    await member(layer, "g")
    exchange: Any = layer._exchange
    sending = asyncio.ensure_future(layer.group_send("g", {"n": 1}))
    await until(lambda: any(topic.waiting for topic in exchange._topics.values()))
    await layer.close()
    await asyncio.wait_for(sending, 5)
