"""Presence in the hub: counted by name, told to members, told to the layer, and healed."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator

import pytest

from roomful.core.capabilities import Change, Occupants
from roomful.core.errors import LayerError, PolicyError, PresenceError
from roomful.core.limits import Limits
from roomful.core.names import RoomName, presence_topic
from roomful.core.policies import Policies, RoomPolicy
from roomful.core.positions import Position
from roomful.hub import Engine
from roomful.layers.memory import MemoryLayer
from tests.clock import after, settled
from tests.fakes import FakeCodec, FakeKind, FakeLayer
from tests.hub.scene import Scene, outcome, soon

LOBBY = RoomName("lobby")
RAW = FakeKind("raw", has_positions=False)


class PresenceLayer(FakeLayer):
    """Knows who is present.

    Attributes:
        failing: How many calls fail from now on.
        deaf: Whether changes are numbered and not delivered.
        gates: Who asks for those that are present waits for the first of these, in the order of the questions.
    """

    def __init__(self) -> None:
        super().__init__()
        self.who: dict[RoomName, dict[str, bytes]] = {}
        self.failing = 0
        self.deaf = False
        self.gates: list[asyncio.Future[None]] = []
        self.said: list[tuple[str, bytes | None]] = []

    def _fail(self) -> None:
        if self.failing:
            self.failing -= 1
            raise LayerError("away")

    def change(self, room: RoomName, change: Change) -> None:
        here = self.who.setdefault(room, {})
        here.pop(change.who, None)
        if change.info is not None:
            here[change.who] = change.info
        topic = presence_topic(room)
        self.tops[topic] = self.tops.get(topic, 0) + 1
        if topic in self.attached and not self.deaf:
            assert self.deliver is not None
            self.deliver(topic, self.at(topic), change.pack())

    async def appear(self, room: RoomName, who: str, info: bytes) -> None:
        self._fail()
        self.said.append((who, info))
        if self.who.get(room, {}).get(who) != info:
            self.change(room, Change(who, info))

    async def disappear(self, room: RoomName, who: str) -> None:
        self._fail()
        self.said.append((who, None))
        if who in self.who.get(room, {}):
            self.change(room, Change(who, None))

    async def occupants(self, room: RoomName) -> Occupants:
        self._fail()
        if self.gates:
            await self.gates.pop(0)
        return Occupants(self.at(presence_topic(room)), dict(self.who.get(room, {})))


class PresenceScene(Scene):
    layer: PresenceLayer

    def __init__(self) -> None:
        super().__init__()
        self.layer = PresenceLayer()
        policies = Policies({"lobby": RoomPolicy(presence=True, presence_grace_s=5.0)})
        self.engine = Engine(self.layer, self.codec, Limits(max_presence_info_bytes=10), policies)


@pytest.fixture
async def scene() -> AsyncGenerator[PresenceScene]:
    scene = PresenceScene()
    yield scene
    for client in scene.clients:
        if not client.connection.is_lost:
            client.wire.lose()
    await after(6)
    assert scene.engine.statistics().present == 0
    assert scene.engine.attendants._names == {}
    assert all(not who for who in scene.layer.who.values())
    await scene.assert_nothing_is_left()


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (1, 2, 0)])
async def test_answers_that_come_too_late_heal_nothing(
    scene: PresenceScene, order: tuple[int, ...], caplog: pytest.LogCaptureFixture
) -> None:
    """A doubt while a room is opened makes two ask, and whoever hears last has nothing to heal any more."""
    gates: list[asyncio.Future[None]] = [asyncio.get_running_loop().create_future() for _ in order]
    scene.layer.gates = list(gates)
    ann = scene.client()
    joining = soon(ann.connection.join("lobby", who="ann"))
    await settled()
    assert scene.layer.suspect is not None
    scene.layer.suspect(presence_topic(LOBBY))
    await settled()
    for gate in order:
        gates[gate].set_result(None)
        await settled()
    await joining
    await settled()
    assert (await scene.engine.attendants.present("lobby")).who == {"ann": b"null"}
    assert ann.written[-1] in ("lobby#1 ann null", "lobby#1 {ann=null}")
    gc.collect()  # a task that failed tells so when it is gone
    assert caplog.records == []


async def test_members_are_told_who_comes_and_who_goes(scene: PresenceScene) -> None:
    """Each change has a position in the sequence of presence; the room's own positions are not moved by it."""
    ann, bob = scene.client(), scene.client()
    await ann.connection.join("lobby", who="ann")
    await settled()
    await bob.connection.join("lobby", who="bob", info=7)
    await settled()
    bob.wire.lose()
    await settled()
    assert await scene.push("lobby", "a") == 1
    await after(5.1)

    assert ann.written == [
        "joined lobby@0",
        "lobby#1 ann null",
        "lobby#2 bob 7",
        "lobby@1 a",
        "lobby#3 bob gone",
    ]
    assert bob.written == ["joined lobby@0", "lobby#2 bob 7"]


async def test_several_connections_of_one_name_count_as_one(scene: PresenceScene) -> None:
    """It comes with the first and goes after the last; one that comes back within the grace time shows nothing."""
    ann = await scene.member("lobby")
    first, second = scene.client(), scene.client()
    await first.connection.join("lobby", who="bob")
    await second.connection.join("lobby", who="bob")
    await settled()
    first.wire.lose()
    await after(6)
    second.wire.lose()
    await after(4)
    third = scene.client()
    await third.connection.join("lobby", who="bob")
    await after(6)
    assert ann.take()[1:] == ["lobby#2 bob null"]

    third.connection.leave("lobby")
    await after(4.9)
    assert ann.take() == []
    await after(0.2)
    assert ann.take() == ["lobby#3 bob gone"]


async def test_name_is_that_of_the_connection_where_nobody_says_another(scene: PresenceScene) -> None:
    """Without a principal and a name each connection is somebody of its own."""
    ann = await scene.member("lobby")
    occupants = await scene.engine.attendants.present("lobby")

    assert occupants.who == {ann.connection.id: b"null"}


async def test_second_join_says_something_else(scene: PresenceScene) -> None:
    """The info is replaced at once; another name comes at once and the old one goes after the grace time."""
    ann = await scene.member("lobby")
    await ann.connection.join("lobby", who="ann")
    await ann.connection.join("lobby", info="away")
    await ann.connection.join("lobby")
    await ann.connection.join("lobby", who="ann", info="back")
    await settled()
    assert (await scene.engine.attendants.present("lobby")).who == {
        ann.connection.id: b"null",
        "ann": b"back",
    }
    await after(5)

    assert (await scene.engine.attendants.present("lobby")).who == {"ann": b"back"}


async def test_presence_waits_for_what_this_process_has_to_say(scene: PresenceScene) -> None:
    """Whoever joins and asks finds itself; also when the layer could not be told at first."""
    ann = scene.client()
    await ann.connection.join("lobby", who="ann")
    assert (await scene.engine.attendants.present("lobby")).who == {"ann": b"null"}

    scene.layer.failing = 1
    await ann.connection.join("lobby", info=1)
    with_old = await scene.engine.attendants.present("lobby")
    assert with_old.who == {"ann": b"null"}, "one attempt is waited for, not the layer's return"
    await after(0.5)
    assert (await scene.engine.attendants.present("lobby")).who == {"ann": b"1"}


async def test_snapshot_stands_in_its_place_among_the_changes(scene: PresenceScene) -> None:
    """What is told before it is counted in, what is told after it is not."""
    ann, bob, eve = scene.client(), scene.client(), scene.client()
    await ann.connection.join("lobby", who="ann")
    await settled()
    ann.take()
    await bob.connection.join("lobby", who="bob")
    await settled()
    await ann.connection.send_presence("lobby")
    await eve.connection.join("lobby", who="eve")
    await settled()
    assert ann.written == ["lobby#2 bob null", "lobby#2 {ann=null,bob=null}", "lobby#3 eve null"]

    outside = scene.client()
    await outside.connection.send_presence("lobby")
    assert outside.written == ["lobby#3 {ann=null,bob=null,eve=null}"]


async def test_hole_in_presence_is_told_by_a_new_snapshot(scene: PresenceScene) -> None:
    """Changes that the layer lost are not read one by one: everybody is told who is there now."""
    ann = await scene.member("lobby")
    await scene.engine.attendants.present("lobby")
    ann.take()
    scene.layer.deaf = True
    scene.layer.change(LOBBY, Change("bob", b"1"))
    scene.layer.deaf = False
    scene.layer.failing = 1
    scene.layer.change(LOBBY, Change("eve", b"2"))
    await settled()
    assert ann.take() == []
    await after(0.6)

    (snapshot,) = ann.take()
    assert snapshot.startswith("lobby#3 {")
    assert "bob=1" in snapshot
    assert "eve=2" in snapshot

    assert scene.layer.suspect is not None
    scene.layer.suspect(presence_topic(LOBBY))
    await settled()
    assert len(ann.take()) == 1
    scene.layer.change(LOBBY, Change("bob", None))
    scene.layer.change(LOBBY, Change("eve", None))
    await settled()
    assert ann.take() == ["lobby#4 bob gone", "lobby#5 eve gone"]


async def test_change_that_cannot_be_read_is_healed(
    scene: PresenceScene, caplog: pytest.LogCaptureFixture
) -> None:
    """What was not written by Roomful disturbs nobody for longer than a question takes."""
    ann = await scene.member("lobby")
    await scene.engine.attendants.present("lobby")
    ann.take()
    topic = presence_topic(LOBBY)
    scene.layer.tops[topic] += 1
    assert scene.layer.deliver is not None
    scene.layer.deliver(topic, scene.layer.at(topic), b"?")
    await settled()

    assert len(ann.take()) == 1
    assert "cannot be read" in caplog.text


async def test_connection_that_owns_its_wire_is_counted_and_not_told(scene: PresenceScene) -> None:
    """It gets what the application pushes and nothing else."""
    raw = scene.client(RAW)
    await raw.connection.join("lobby", who="raw")
    await raw.connection.send_presence("lobby")
    await settled()

    assert raw.written == []
    assert (await scene.engine.attendants.present("lobby")).who == {"raw": b"null"}


async def test_what_cannot_be_shown_is_the_callers_error(scene: PresenceScene) -> None:
    """Names are short and printable, infos short; a room without presence has neither."""
    ann = scene.opening()
    for who in ("", "a\n", "x" * 1025, 7):
        with pytest.raises(PresenceError):
            await ann.connection.join("lobby", who=who)  # type: ignore[arg-type] # a mistake
    with pytest.raises(PresenceError, match="max_presence_info_bytes"):
        await ann.connection.join("lobby", info="x" * 11)
    with pytest.raises(PolicyError, match="no presence"):
        await ann.connection.join("hall", who="ann")
    with pytest.raises(PolicyError, match="no presence"):
        await scene.engine.attendants.present("hall")
    with pytest.raises(PolicyError, match="no presence"):
        await ann.connection.send_presence("hall")
    assert ann.connection.is_opening
    ann.connected()


async def test_layer_that_cannot_say_who_is_there_fails_the_join(scene: PresenceScene) -> None:
    """Nothing stays attached of a room that could not be followed; the next join tries again."""
    ann = scene.client()
    scene.layer.failing = 1
    with pytest.raises(LayerError):
        await ann.connection.join("lobby", who="ann")
    assert scene.layer.attached == set()

    await ann.connection.join("lobby", who="ann")
    assert scene.layer.attached == {LOBBY, presence_topic(LOBBY)}


async def test_layer_that_was_away_is_told_what_is_so_then() -> None:
    """What changed meanwhile is not told step by step."""
    scene = PresenceScene()
    ann = scene.client()
    await ann.connection.join("lobby", who="ann")
    scene.layer.failing = 1000
    await settled()
    ann.wire.lose()
    await after(5.1)
    scene.layer.failing = 0
    await after(0.6)

    assert scene.layer.said == [("ann", None)]
    assert scene.layer.who.get(LOBBY, {}) == {}
    await scene.assert_nothing_is_left()


async def test_layer_without_presence_is_found_at_the_start() -> None:
    """A policy that cannot be kept is an error before anybody comes."""
    with pytest.raises(PolicyError, match="FakeLayer"):
        Engine(FakeLayer(), FakeCodec(), Limits(), Policies({"*": RoomPolicy(presence=True)}))


async def test_hub_that_closes_leaves_no_timer() -> None:
    """Grace times that still run end with the hub."""
    engine = Engine(MemoryLayer(), FakeCodec(), Limits(), Policies({"*": RoomPolicy(presence=True)}))
    scene = Scene()
    scene.engine = engine
    scene.layer = FakeLayer()
    ann = await scene.member("lobby")
    await engine.attendants.present("lobby")
    ann.wire.lose()
    await settled()
    await engine.close()

    await scene.assert_nothing_is_left()


async def test_epoch_that_changes_is_healed(scene: PresenceScene) -> None:
    """A layer that lost its numbers is asked anew."""
    ann = await scene.member("lobby")
    await scene.engine.attendants.present("lobby")
    ann.take()
    assert scene.layer.deliver is not None
    scene.layer.deliver(presence_topic(LOBBY), Position("f", 1), Change("bob", b"1").pack())
    await settled()

    assert [text.split(" ")[0] for text in ann.take()] == ["lobby#1", "lobby#1"]


async def test_defect_of_a_layer_holds_nobody_up(
    scene: PresenceScene, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What fails in a way that no layer may is logged and tried again."""
    ann = scene.client()

    async def fail(*_: object) -> None:
        raise ValueError("a defect")

    monkeypatch.setattr(scene.layer, "appear", fail)
    await ann.connection.join("lobby", who="ann")
    assert (await scene.engine.attendants.present("lobby")).who == {}
    monkeypatch.undo()
    await after(0.6)
    assert (await scene.engine.attendants.present("lobby")).who == {"ann": b"null"}
    assert "a defect" in caplog.text


async def test_layer_that_is_away_is_told_of_once_a_second(
    scene: PresenceScene, caplog: pytest.LogCaptureFixture
) -> None:
    """However many names wait."""
    clients = [scene.client() for _ in range(30)]
    await scene.engine.start()
    for client in clients:
        await client.connection.join("lobby")
    scene.layer.failing = 60
    await after(0.4)
    assert len(caplog.records) == 1
    await after(2)


async def test_question_that_waits_ends_with_the_hub(scene: PresenceScene) -> None:
    """Nobody waits for an answer that does not come any more."""
    ann = scene.client()
    await ann.connection.join("lobby", who="ann")
    scene.layer.failing = 1000
    await settled()
    question = soon(outcome(scene.engine.attendants.present("lobby")))
    await settled()
    assert not question.done()
    ann.wire.lose()
    await scene.engine.close()
    await settled()
    assert question.done()
    scene.engine.reopen()
    scene.layer.failing = 0
