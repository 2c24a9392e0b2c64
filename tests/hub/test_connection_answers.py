"""Answers of a connection's own: written at once, or gathered while more messages of its client wait."""

from __future__ import annotations

import asyncio

import pytest

from roomful.core.errors import ConnectionClosed
from roomful.core.ports import FrameKind
from tests.clock import passes
from tests.fakes import PLAIN
from tests.hub.scene import Client, Scene


def answering(scene: Scene, *texts: str, kind: FrameKind = PLAIN) -> Client:
    """Return a client each of whose messages is answered with itself."""
    client = scene.client(kind)

    def answer(text: str) -> None:
        async def send() -> None:
            assert client.connection.offer(f"re {text}") is None

        client.handler.does[text] = send

    for text in texts:
        answer(text)
    return client


async def arrive(client: Client, *texts: str) -> None:
    """Let messages come in one piece, as the wire hands them on."""
    for text in texts:
        client.wire.has_more = text != texts[-1]
        client.connection.received(text)
    client.wire.has_more = False
    await passes(4)


async def test_answers_to_messages_that_came_together_go_out_together(scene: Scene) -> None:
    client = answering(scene, "a", "b", "c")
    await arrive(client, "a", "b", "c")
    assert client.written == ["re a", "re b", "re c"]
    assert client.wire.writes == 1


async def test_answer_to_a_lone_message_goes_out_in_its_handler(scene: Scene) -> None:
    client = scene.client()
    seen = []

    async def answer() -> None:
        client.connection.offer("re a")
        seen.extend(client.written)

    client.handler.does["a"] = answer
    await arrive(client, "a")
    assert seen == ["re a"]


async def test_replies_and_sends_keep_their_order(scene: Scene) -> None:
    client = scene.client()

    async def by_reply() -> None:
        client.connection.reply("1", "first")

    async def by_send() -> None:
        client.connection.send("second")

    async def by_offer() -> None:
        client.connection.offer("third")

    async def by_error() -> None:
        client.connection.error("code", "fourth", reply_to="4")

    client.handler.does = {"a": by_reply, "b": by_send, "c": by_offer, "d": by_error}
    await arrive(client, "a", "b", "c", "d")
    assert client.written == ["reply 1: first", "second", "third", "error 4: code fourth"]


async def test_gathered_answer_does_not_wait_for_a_handler_that_waits(scene: Scene) -> None:
    client = scene.client()
    gate = asyncio.Event()

    async def answer_and_wait() -> None:
        client.connection.offer("re a")
        await gate.wait()

    client.handler.does["a"] = answer_and_wait
    await arrive(client, "a", "b")
    assert client.written == ["re a"]
    assert client.handler.finished == []
    gate.set()
    await passes(4)


async def test_gathered_answer_stands_before_a_later_push(scene: Scene) -> None:
    client = answering(scene, "c")
    await client.connection.join("lobby")

    async def answer_and_push() -> None:
        client.connection.offer("before")
        await scene.push("lobby", "event")
        client.connection.offer("after")

    client.handler.does["a"] = answer_and_push
    client.take()
    await arrive(client, "a", "b", "c")
    assert client.written == ["before", "lobby@1 event", "after", "re c"]


async def test_gathered_answer_stands_before_a_flush_that_is_forced(scene: Scene) -> None:
    """A full batch is written inside the push, without a turn of the loop between."""
    client = scene.client()
    await client.connection.join("lobby")

    async def answer_and_flood() -> None:
        client.connection.offer("before")
        for number in range(scene.engine.limits.max_batch_frames):
            scene.engine.pushing.push_nowait("lobby", str(number))

    client.handler.does["a"] = answer_and_flood
    client.take()
    await arrive(client, "a", "b")
    assert client.written[:2] == ["before", "lobby@1 0"]
    assert len(client.written) == 1 + scene.engine.limits.max_batch_frames


async def test_gathered_answer_stands_before_the_close_frame(scene: Scene) -> None:
    client = scene.client()

    async def answer_and_close() -> None:
        client.connection.offer("last words")
        client.connection.close(1000, "")
        with pytest.raises(ConnectionClosed):
            client.connection.offer("too late")

    client.handler.does["a"] = answer_and_close
    await arrive(client, "a", "b")
    assert client.written == ["last words"]
    assert client.wire.closed[0][:2] == ("close", 1000)


async def test_gathered_answer_stands_before_what_waits_in_the_outbox(scene: Scene) -> None:
    client = scene.client()

    async def answer_while_the_transport_fills() -> None:
        client.connection.offer("first")
        client.wire.pause()
        client.connection.offer("second")

    client.handler.does["a"] = answer_while_the_transport_fills
    await arrive(client, "a", "b")
    assert client.written == ["first"]
    client.wire.resume()
    assert client.written == ["first", "second"]


async def test_what_is_gathered_is_bounded_in_bytes(scene: Scene) -> None:
    """A full transport must be noticed while a handler answers, not after 64 answers of a megabyte."""
    client = scene.client()
    writes = []

    async def answer() -> None:
        client.connection.offer("x" * 10_000)
        writes.append(client.wire.writes)

    client.handler.does = dict.fromkeys("abc", answer)
    await arrive(client, "a", "b", "c", "d")
    assert writes == [0, 1, 1]
    assert client.wire.writes == 2


async def test_connection_that_is_lost_drops_what_was_gathered(scene: Scene) -> None:
    client = scene.client()

    async def answer_and_lose() -> None:
        client.connection.offer("never seen")
        client.wire.lose()

    client.handler.does["a"] = answer_and_lose
    writes: list[object] = []
    client.wire.write = writes.append  # type: ignore[method-assign] # which takes nothing more once it is lost
    await arrive(client, "a", "b")
    assert writes == []


async def test_broken_wire_ends_the_connection_and_not_the_handler(scene: Scene) -> None:
    client = answering(scene, "a", "b")

    def break_wire() -> None:
        raise OSError("broken")

    client.wire.on_write = break_wire
    await arrive(client, "a")
    assert client.handler.finished == ["a"]
    assert client.wire.closed[0][:2] == ("close", 1011)


async def test_crowded_outbox_is_waited_for(scene: Scene) -> None:
    client = scene.client()
    client.wire.pause()
    limit = scene.engine.limits.max_outbox_messages // 2
    for number in range(limit + 1):
        assert client.connection.offer(str(number)) is None
    crowded = client.connection.offer("waits")
    assert crowded is not None
    client.wire.resume()
    await crowded
    assert client.connection.offer("waits") is None
    assert client.written[-2:] == [str(limit), "waits"]


async def test_task_that_runs_a_handler_is_named_after_its_connection(scene: Scene) -> None:
    client = scene.client()
    names = []

    async def name() -> None:
        task = asyncio.current_task()
        assert task is not None
        names.append(task.get_name())

    client.handler.does["a"] = name
    await arrive(client, "a")
    assert names == [client.connection.id]
