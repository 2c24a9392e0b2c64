from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from roomful.channels.consumer import AsyncConsumer
from roomful.channels.routing import ChannelNameRouter
from roomful.django import ChannelLayer
from roomful.django.worker import Worker
from tests.examples.serving import ROOT
from tests.integration.waiting import until
from tests.layers.servers import BINARIES, Server


async def running(worker: Worker, grace_s: float = 5) -> Callable[[], Any]:
    task = asyncio.ensure_future(worker.run(grace_s=grace_s))
    await asyncio.sleep(0)

    async def stopped() -> bool:
        worker.stop()
        return await asyncio.wait_for(task, 10)

    return stopped


@pytest.fixture
def layer(monkeypatch: pytest.MonkeyPatch) -> ChannelLayer:
    layer = ChannelLayer()
    monkeypatch.setattr("roomful.channels.consumer.get_channel_layer", lambda _: None)
    return layer


async def test_messages_of_each_channel_go_to_its_consumer(layer: ChannelLayer) -> None:
    seen: list[tuple[str, Any]] = []

    class Seeing(AsyncConsumer):
        async def thing_do(self, message: dict[str, Any]) -> None:
            seen.append((self.scope["channel"], message["n"]))

    app = ChannelNameRouter({"one": Seeing.as_asgi(), "two": Seeing.as_asgi()})
    stop = await running(Worker(app, ["one", "two"], layer))
    for number in range(3):
        await layer.send("one", {"type": "thing.do", "n": number})
    await layer.send("two", {"type": "thing.do", "n": 9})
    await until(lambda: len(seen) == 4)
    assert await stop()
    assert [item for item in seen if item[0] == "one"] == [("one", 0), ("one", 1), ("one", 2)]
    assert ("two", 9) in seen


async def test_no_more_are_handled_at_a_time_than_was_said_and_the_rest_stays_for_others(
    layer: ChannelLayer,
) -> None:
    go_on = asyncio.Event()
    running_now: list[int] = []

    class Slow(AsyncConsumer):
        async def work(self, message: dict[str, Any]) -> None:
            running_now.append(message["n"])
            await go_on.wait()

    stop = await running(Worker(Slow.as_asgi(), ["work"], layer, concurrency=2))
    for number in range(5):
        await layer.send("work", {"type": "work", "n": number})
    await until(lambda: len(running_now) == 2)
    await asyncio.sleep(0)
    assert len(layer.channels["work"]) == 3
    go_on.set()
    await until(lambda: len(running_now) == 5)
    assert await stop()


async def test_a_worker_that_stops_finishes_what_it_has_begun_and_takes_nothing_more(
    layer: ChannelLayer,
) -> None:
    began, go_on = asyncio.Event(), asyncio.Event()
    done: list[int] = []

    class Slow(AsyncConsumer):
        async def work(self, message: dict[str, Any]) -> None:
            began.set()
            await go_on.wait()
            done.append(message["n"])

    worker = Worker(Slow.as_asgi(), ["work"], layer)
    stop = await running(worker)
    for number in range(2):
        await layer.send("work", {"type": "work", "n": number})
    await began.wait()
    stopping = asyncio.ensure_future(stop())
    await asyncio.sleep(0)
    go_on.set()
    assert await stopping
    assert done == [0]
    assert await layer.receive("work") == {"type": "work", "n": 1}


async def test_a_handler_that_does_not_end_is_cancelled_after_the_grace(layer: ChannelLayer) -> None:
    began = asyncio.Event()

    class Stuck(AsyncConsumer):
        async def work(self, message: dict[str, Any]) -> None:
            began.set()
            await asyncio.Event().wait()

    stop = await running(Worker(Stuck.as_asgi(), ["work"], layer), grace_s=0.01)
    await layer.send("work", {"type": "work"})
    await began.wait()
    assert not await stop()


async def test_a_handler_that_fails_is_logged_and_the_next_message_is_handled(
    layer: ChannelLayer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("roomful.django.worker._PAUSE_S", 0.001)
    seen: list[int] = []

    class Failing(AsyncConsumer):
        async def work(self, message: dict[str, Any]) -> None:
            seen.append(message["n"])
            raise LookupError("this one")

    with caplog.at_level(logging.ERROR, logger="roomful.django.worker"):
        stop = await running(Worker(Failing.as_asgi(), ["work"], layer))
        for number in range(2):
            await layer.send("work", {"type": "work", "n": number})
        await until(lambda: seen == [0, 1])
        assert await stop()
    assert "channel work: its application failed" in caplog.text


async def test_a_layer_that_fails_ends_the_worker(layer: ChannelLayer) -> None:
    class Broken(ChannelLayer):
        async def receive(self, channel: str) -> Any:
            raise OSError("gone")

    async def app(_scope: Any, receive: Any, _send: Any) -> None:
        await receive()

    with pytest.raises(OSError, match="gone"):
        await Worker(app, ["work"], Broken()).run(grace_s=1)


def test_the_command_runs_until_it_is_told_to_stop() -> None:
    if not BINARIES:
        pytest.skip("no Redis server is installed")
    with Server(min(BINARIES.values())) as server:
        hosts, prefix = server.url, secrets.token_hex(4)
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.django.worker_settings",
            "TEST_HOST": hosts,
            "TEST_PREFIX": prefix,
            "PYTHONUNBUFFERED": "1",
        }
        worker = subprocess.Popen(
            [sys.executable, "-m", "django", "runworker", "work", "--concurrency", "2"],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert worker.stdout is not None
        assert worker.stdout.readline().startswith("Worker on work")

        async def ask() -> Any:
            layer = ChannelLayer([hosts], prefix=prefix)
            name = await layer.new_channel()
            await layer.send("work", {"type": "work", "reply_to": str(name)})
            answer = await asyncio.wait_for(layer.receive(name), 20)
            await layer.close()
            return answer

        assert asyncio.run(ask()) == {"type": "done"}
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(20) == 0
        worker.stdout.close()
