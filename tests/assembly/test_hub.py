"""The hub as applications use it."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from functools import partial

import pytest

from roomful import Hub
from roomful.core.deed import CURRENT, Deed
from roomful.core.errors import HubClosed, InvalidState, LayerError, NotShared, UnknownConnection
from roomful.core.events import Event
from roomful.core.limits import Limits
from roomful.core.names import ConnectionId
from roomful.core.ports import Receipt
from roomful.hub import Connection
from roomful.layers.memory import MemoryLayer
from roomful.wire import EventsCodec, RawCodec
from tests.clock import passes
from tests.fakes import PLAIN, FakeHandler, FakeLayer, FakeWire


@pytest.fixture(autouse=True)
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin with no word of several workers."""
    for name in ("ROOMFUL_WORKERS", "WEB_CONCURRENCY"):
        monkeypatch.delenv(name, raising=False)


class Client:
    """One connection of a hub."""

    def __init__(self, hub: Hub) -> None:
        self.handler = FakeHandler()
        self.connection: Connection = hub.engine.open(PLAIN, self._wire)
        self.connection.attach(self.handler, asyncio.get_running_loop().create_future())  # type: ignore[arg-type]
        self.connection.connected(contextvars.copy_context())

    def _wire(self, peer: object) -> FakeWire:
        self.wire = FakeWire(peer)  # type: ignore[arg-type] # the connection
        return self.wire

    @property
    def id(self) -> ConnectionId:
        return self.connection.id


def test_hub_needs_no_argument_and_no_loop() -> None:
    """A hub is made at import time, long before a loop runs."""
    hub = Hub()

    assert repr(hub) == "<Hub <MemoryLayer rooms=0 idle=0>>"
    assert hub.limits == Limits()
    assert hub.fast_path is True
    assert isinstance(hub.codec, EventsCodec)
    assert isinstance(hub.raw_codec, RawCodec)
    hub.statistics()


def test_hub_takes_a_layer_or_its_url() -> None:
    """A URL is turned into a layer at once, so that a wrong one is found where it stands."""
    layer = FakeLayer()

    assert Hub(layer).engine.layer is layer
    assert isinstance(Hub("memory://").engine.layer, MemoryLayer)
    with pytest.raises(LayerError):
        Hub("nonsense://")


# ── Life ──


async def test_hub_is_entered_and_left() -> None:
    """Entering starts the layer, leaving closes it; both may happen again."""
    layer = FakeLayer()
    hub = Hub(layer)
    async with hub as entered:
        assert entered is hub
        assert (await hub.push("lobby", "a")).position.offset == 1
    with pytest.raises(HubClosed):
        await hub.push("lobby", "late")
    async with hub:
        await hub.push("lobby", "b")

    assert layer.calls == [("start",), ("stop",)] * 2


async def test_lifespan_runs_the_hub_as_long_as_the_application() -> None:
    """`hub.lifespan` is what frameworks take."""
    layer = FakeLayer()
    hub = Hub(layer)
    async with hub.lifespan(object()):
        assert layer.calls == [("start",)]

    assert layer.calls == [("start",), ("stop",)]


async def test_hub_is_closed_also_when_its_application_fails() -> None:
    """An error passes, and leaves no layer behind."""
    layer = FakeLayer()
    with pytest.raises(ValueError, match="application"):
        async with Hub(layer):
            raise ValueError("application")

    assert layer.calls == [("start",), ("stop",)]


async def test_hub_starts_by_itself_and_is_closed_by_hand() -> None:
    """Without a lifespan a hub works too; a second close does nothing."""
    layer = FakeLayer()
    hub = Hub(layer)
    await hub.push("lobby", "a")
    await hub.close()
    await hub.close()

    assert layer.calls == [("start",), ("stop",)]


async def test_close_waits_for_consumers_and_then_stops_their_threads() -> None:
    """A handler in a thread may finish while its hub closes; a second close does not disturb that."""
    hub = Hub(FakeLayer(), limits=Limits(max_handler_threads=1))
    await hub.start()
    client = Client(hub)
    ran: list[object] = []

    async def clean_up() -> None:
        ran.append(await hub.threads.run(lambda: "saved"))

    client.handler.on_close = clean_up
    closing = asyncio.ensure_future(hub.close())
    await passes(3)
    client.wire.lose()
    await hub.close()
    assert hub.statistics().connections == 0
    await closing

    assert ran == ["saved"]
    assert client.wire.closed == [("close", 1001, "server is going away", None)]


# ── Workers ──


@pytest.mark.parametrize("variable", ["ROOMFUL_WORKERS", "WEB_CONCURRENCY"])
async def test_layer_of_one_process_under_several_workers_is_refused_at_start(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """Rooms that silently reach a fraction of their members are the worst of all bugs."""
    hub = Hub()
    monkeypatch.setenv(variable, "3")

    with pytest.raises(
        NotShared, match="MemoryLayer reaches one process and the server runs 3; name a shared layer"
    ):
        await hub.start()


def test_roomful_serve_is_heeded_before_any_worker_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our own variable is found when the hub is made; uvicorn's may stand in any shell, and counts at start alone."""
    monkeypatch.setenv("WEB_CONCURRENCY", "4")
    Hub()
    monkeypatch.setenv("ROOMFUL_WORKERS", "2")

    with pytest.raises(NotShared, match="the server runs 2"):
        Hub()


@pytest.mark.parametrize(
    ("value", "make"),
    [
        ("1", Hub),
        ("many", Hub),
        ("", Hub),
        ("4", partial(Hub, shared=False)),
        ("4", lambda: Hub(FakeLayer())),
    ],
)
async def test_hub_that_may_run_in_several_workers_starts(
    monkeypatch: pytest.MonkeyPatch, value: str, make: Callable[[], Hub]
) -> None:
    """One worker, rooms that are meant to be each worker's own, or a shared layer."""
    monkeypatch.setenv("ROOMFUL_WORKERS", value)

    async with make():
        pass


# ── Use ──


@pytest.mark.parametrize("by", ["id", "object"])
async def test_push_excludes_a_connection_by_its_id_or_itself(by: str) -> None:
    """A consumer can be named as it stands."""
    async with Hub() as hub:
        ann, bob = Client(hub), Client(hub)
        for client in (ann, bob):
            await client.connection.join("lobby")
        await hub.push("lobby", "a", exclude=ann.id if by == "id" else ann)
        hub.push_nowait("lobby", "b", exclude=ann.id if by == "id" else ann)
        await passes()

        assert ann.wire.written == ["joined lobby@0", "lobby@1", "lobby@2"]
        assert bob.wire.written == ["joined lobby@0", "lobby@1 a", "lobby@2 b"]
        ann.wire.lose()
        bob.wire.lose()


async def test_push_with_a_key_takes_effect_once() -> None:
    """The key reaches the layer, whichever way the push went."""
    async with Hub() as hub:
        first = await hub.push("lobby", "a", key="k")
        second = await hub.push_nowait("lobby", "a", key="k")
        third = await asyncio.to_thread(lambda: hub.push_threadsafe("lobby", "a", key="k").result(10))

        assert not first.duplicate
        assert second == third
        assert (second.position, second.duplicate) == (first.position, True)


async def test_push_from_another_thread() -> None:
    """A thread pushes and waits for the receipt; order is that of the receipts."""
    async with Hub() as hub:
        ann = Client(hub)
        await ann.connection.join("lobby")
        offsets: list[int] = []

        def work() -> None:
            for text in ("a", "b"):
                receipt = hub.push_threadsafe("lobby", text, exclude=None).result(10)
                offsets.append(receipt.position.offset)

        thread = threading.Thread(target=work)
        thread.start()
        await asyncio.get_running_loop().run_in_executor(None, thread.join)
        await passes(3)

        assert offsets == [1, 2]
        assert ann.wire.written == ["joined lobby@0", "lobby@1 a", "lobby@2 b"]
        ann.wire.lose()


def test_push_from_another_thread_needs_a_living_loop() -> None:
    """Before the hub was started, and after its loop is gone, there is nobody to hand the push to."""
    hub = Hub()
    with pytest.raises(InvalidState, match="hub is not started"):
        hub.push_threadsafe("lobby", "a")

    asyncio.run(hub.start())

    with pytest.raises(InvalidState, match="hub is not started"):
        hub.push_threadsafe("lobby", "a")


async def test_push_threadsafe_on_the_hubs_own_thread_is_refused() -> None:
    """Whoever waited for it there would wait for ever."""
    async with Hub() as hub:
        with pytest.raises(InvalidState, match="push_threadsafe is for other threads; await push"):
            hub.push_threadsafe("lobby", "a")


async def test_send_and_disconnect_by_id() -> None:
    """One connection is addressed by its id, and an id that is none is an error."""
    async with Hub() as hub:
        ann = Client(hub)
        await hub.send(ann.id, "hi")
        await hub.disconnect(ann.id)

        assert ann.wire.written == ["hi"]
        assert ann.wire.closed == [("close", 1000, "", None)]
        ann.wire.lose()
        for call in (hub.send(ann.id, Event("hi")), hub.disconnect(ann.id, 4500, "out")):
            with pytest.raises(UnknownConnection):
                await call


async def test_join_and_leave_by_id() -> None:
    """Whoever knows a connection's id can put it into a room, and take it out."""
    async with Hub() as hub:
        ann = Client(hub)
        assert (await hub.join(ann.id, "lobby")).position.offset == 0
        await hub.push("lobby", "a")
        await hub.leave(ann.id, "lobby")
        await hub.push("lobby", "b")
        await passes()

        assert ann.wire.written == ["joined lobby@0", "lobby@1 a"]
        ann.wire.lose()
        for call in (hub.join(ann.id, "lobby"), hub.leave(ann.id, "lobby")):
            with pytest.raises(UnknownConnection):
                await call


async def test_statistics_count_threads_too() -> None:
    """The engine knows no threads; the hub adds them."""
    async with Hub() as hub:
        gate = threading.Event()
        running = asyncio.ensure_future(hub.threads.run(gate.wait))
        await passes(2)
        assert hub.statistics().handler_threads == 1

        gate.set()
        await running

        assert hub.statistics().handler_threads == 0


async def test_pushes_of_a_message_that_is_handled_again_take_effect_once() -> None:
    """Each way to push takes the key of the message by default, in their order; a key of one's own goes before."""

    async def handle(hub: Hub) -> list[Receipt]:
        token = CURRENT.set(Deed("message"))
        try:
            return [
                await hub.push("room", "a"),
                await hub.push_nowait("room", "b"),
                await asyncio.to_thread(lambda: hub.push_threadsafe("room", "c").result(5)),
                await hub.push("room", "d", key="own"),
                await hub.push("room", "e", wait=True),
                await hub.dispatch("group", Event("f")),
            ]
        finally:
            CURRENT.reset(token)

    async with Hub() as hub:
        first, second = await handle(hub), await handle(hub)
        assert [receipt.duplicate for receipt in (*first, *second)] == [False] * 6 + [True] * 6
        assert [receipt.position for receipt in first] == [receipt.position for receipt in second]
        assert not (await hub.push("room", "a")).duplicate
