"""The memory layer: numbers, delivers and remembers in one process."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from roomful.core.errors import LayerError
from roomful.core.names import RoomName
from roomful.core.policies import Retention
from roomful.core.ports import Layer, Page, ProducerSeq, Receipt
from roomful.core.positions import Position
from roomful.layers.memory import MemoryLayer

ROOM = RoomName("chat")
KEEP = Retention(events=3, max_bytes=10, ttl_s=10)
ROOMS = (ROOM, RoomName("other"))


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Scene:
    """A layer and what it delivers."""

    def __init__(self, layer: MemoryLayer) -> None:
        self.layer: Layer = layer
        self.delivered: list[tuple[RoomName, Position, bytes]] = []
        self.numbers = 0

    async def start(self) -> None:
        await self.layer.start(lambda *event: self.delivered.append(event), pytest.fail)

    def publish(
        self,
        room: RoomName = ROOM,
        payload: bytes = b"",
        *,
        seq: ProducerSeq | None = None,
        key: str | None = None,
        keep: Retention | None = None,
    ) -> Receipt:
        self.numbers += 1
        future = self.layer.publish(
            room, payload, seq=seq or ProducerSeq("p", self.numbers), key=key, keep=keep
        )
        assert future.done(), "whoever awaits it need not wait"
        return future.result()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def scene(clock: Clock) -> Scene:
    scene = Scene(
        MemoryLayer(idle_room_s=60, max_idle_rooms=3, key_ttl_s=30, max_keys_per_room=2, clock=clock)
    )
    await scene.start()
    return scene


# ── Order and delivery ──


async def test_attached_room_is_delivered_before_publish_returns(scene: Scene) -> None:
    """The order of the calls is the order of the room, and the receipt has the same position."""
    start = await scene.layer.attach(ROOM)
    receipts = [scene.publish(payload=payload) for payload in (b"a", b"b")]

    assert start.offset == 0
    assert receipts == [Receipt(Position(start.epoch, 1)), Receipt(Position(start.epoch, 2))]
    assert scene.delivered == [
        (ROOM, Position(start.epoch, 1), b"a"),
        (ROOM, Position(start.epoch, 2), b"b"),
    ]


async def test_room_that_nobody_is_in_is_numbered_and_not_delivered(scene: Scene) -> None:
    """Every room numbers its events; who attaches later gets those after its position."""
    first = scene.publish()
    at = await scene.layer.attach(ROOM)
    second = scene.publish()
    scene.layer.detach(ROOM)
    third = scene.publish()

    assert at == first.position
    assert [event[1] for event in scene.delivered] == [second.position]
    assert [r.position.offset for r in (first, second, third)] == [1, 2, 3]


async def test_rooms_are_apart(scene: Scene) -> None:
    """Each room has its own order and its own epoch."""
    positions = [scene.publish(room).position for room in ROOMS]

    assert [p.offset for p in positions] == [1, 1]
    assert positions[0].epoch != positions[1].epoch
    for position in positions:
        assert Position.parse(str(position)) == position


async def test_layers_do_not_share_epochs() -> None:
    """A position of one process means nothing in another."""
    epochs = set()
    for _ in range(2):
        scene = Scene(MemoryLayer())
        await scene.start()
        epochs.add(scene.publish().position.epoch)

    assert len(epochs) == 2


async def test_attaching_twice_and_detaching_nothing_change_nothing(scene: Scene) -> None:
    """A room is delivered once, however often it was attached."""
    assert await scene.layer.attach(ROOM) == await scene.layer.attach(ROOM)
    scene.layer.detach(RoomName("unknown"))
    scene.publish()
    scene.layer.detach(ROOM)
    scene.layer.detach(ROOM)

    assert len(scene.delivered) == 1


# ── Once ──


async def test_push_that_is_sent_again_takes_effect_once(scene: Scene) -> None:
    """The same sequence number gets the first receipt again, marked as a duplicate."""
    await scene.layer.attach(ROOM)
    first = scene.publish(seq=ProducerSeq("q", 1))
    again = scene.publish(seq=ProducerSeq("q", 1))
    other = scene.publish(seq=ProducerSeq("r", 1))

    assert again == Receipt(first.position, duplicate=True)
    assert not other.duplicate
    assert len(scene.delivered) == 2


async def test_sequence_counts_in_each_room(scene: Scene) -> None:
    """A producer numbers its pushes over all rooms; a gap in one room is no matter."""
    receipts = [
        scene.publish(room, seq=ProducerSeq("q", n))
        for n, room in enumerate([ROOMS[0], ROOMS[1], ROOMS[0]], start=1)
    ]

    assert [(r.position.offset, r.duplicate) for r in receipts] == [(1, False), (1, False), (2, False)]


async def test_repeated_key_takes_effect_once_while_it_is_remembered(scene: Scene, clock: Clock) -> None:
    """A caller's key makes a push idempotent for its time, in its room, whoever sends it."""
    first = scene.publish(key="k")
    clock.now += 29
    again = scene.publish(key="k")
    elsewhere = scene.publish(ROOMS[1], key="k")
    clock.now += 1
    late = scene.publish(key="k")

    assert again == Receipt(first.position, duplicate=True)
    assert not elsewhere.duplicate
    assert late == Receipt(Position(first.position.epoch, 2))
    assert scene.publish(key="k").position == late.position


async def test_keys_of_a_room_are_bounded(scene: Scene, clock: Clock) -> None:
    """The oldest of too many keys are forgotten first, and expired ones with the next that is remembered."""
    for key in ("a", "b", "c"):
        scene.publish(key=key)

    assert [scene.publish(key=key).duplicate for key in ("b", "c")] == [True, True]
    assert not scene.publish(key="a").duplicate
    clock.now += 31
    assert not scene.publish(key="d").duplicate
    assert scene.publish(key="d").duplicate


@pytest.mark.parametrize("options", [{"key_ttl_s": 0.0}, {"max_keys_per_room": 0}])
async def test_layer_may_remember_no_keys(options: dict[str, float]) -> None:
    """Bounds of zero switch keys off."""
    scene = Scene(MemoryLayer(**options))  # type: ignore[arg-type] # numbers
    await scene.start()

    assert [scene.publish(key="k").duplicate for _ in range(2)] == [False, False]


async def test_producers_of_a_room_are_bounded(scene: Scene) -> None:
    """Hubs that were bound to many loops do not make a room grow."""
    for number in range(100):
        scene.publish(seq=ProducerSeq(f"p{number}", 1))

    assert scene.publish(seq=ProducerSeq("p99", 1)).duplicate
    assert not scene.publish(seq=ProducerSeq("p0", 1)).duplicate


# ── Forgetting ──


async def test_idle_room_keeps_its_numbering_for_a_while(scene: Scene, clock: Clock) -> None:
    """A room that comes back in time goes on; one that comes back later begins a new epoch."""
    before = await scene.layer.attach(ROOM)
    scene.publish()
    scene.layer.detach(ROOM)
    clock.now += 59
    assert await scene.layer.attach(ROOM) == Position(before.epoch, 1)
    scene.layer.detach(ROOM)
    clock.now += 60

    after = await scene.layer.attach(ROOM)

    assert after.offset == 0
    assert after.epoch != before.epoch


async def test_room_that_is_pushed_to_keeps_its_numbering(scene: Scene, clock: Clock) -> None:
    """A room without members is idle only while nobody pushes to it either."""
    first = scene.publish().position
    for _ in range(3):
        clock.now += 59
        last = scene.publish().position

    assert last == Position(first.epoch, 4)


async def test_room_with_members_is_never_forgotten(scene: Scene, clock: Clock) -> None:
    """Only idle rooms are."""
    at = await scene.layer.attach(ROOM)
    for number in range(10):
        scene.publish(RoomName(str(number)))
        clock.now += 100

    assert scene.publish().position == Position(at.epoch, 1)


async def test_idle_rooms_are_bounded(scene: Scene) -> None:
    """Pushing to many names does not grow memory: the oldest idle rooms are forgotten first."""
    epochs = {n: scene.publish(RoomName(str(n))).position.epoch for n in range(10)}
    assert repr(scene.layer) == "<MemoryLayer rooms=4 idle=4>"

    assert scene.publish(RoomName("9")).position == Position(epochs[9], 2)
    assert scene.publish(RoomName("0")).position.epoch != epochs[0]


# ── Life ──


async def test_layer_that_is_not_started_takes_no_push() -> None:
    """Nobody can be told of an event before there is somebody to deliver to."""
    with pytest.raises(LayerError, match="memory layer is not started"):
        MemoryLayer().publish(ROOM, b"", seq=ProducerSeq("p", 1))


async def test_stop_forgets_the_rooms(scene: Scene) -> None:
    """A stopped layer delivers nothing; started again, its rooms begin new epochs."""
    before = await scene.layer.attach(ROOM)
    await scene.layer.stop()
    scene.layer.detach(ROOM)
    with pytest.raises(LayerError):
        scene.publish()
    await scene.start()

    assert scene.publish().position.epoch != before.epoch
    assert scene.delivered == []


def test_layer_goes_on_with_another_loop(clock: Clock) -> None:
    """A hub that is bound to a new loop starts its layer again: numbers go on, and nobody is attached any more."""
    scene = Scene(MemoryLayer(idle_room_s=60, clock=clock))

    async def first() -> Position:
        await scene.start()
        await scene.layer.attach(ROOM)
        return scene.publish().position

    async def second() -> Position:
        await scene.start()
        return scene.publish().position

    before, after = asyncio.run(first()), asyncio.run(second())

    assert (after.epoch, after.offset) == (before.epoch, 2)
    assert len(scene.delivered) == 1

    async def third() -> Position:
        await scene.start()
        clock.now += 60
        return scene.publish().position

    assert asyncio.run(third()).epoch != before.epoch


async def test_history_keeps_nothing_unless_it_is_asked_to(scene: Scene) -> None:
    """A page is complete only where nothing has followed the position."""
    nowhere = Position("", 0)
    assert await scene.layer.history(ROOM, nowhere, 10) == Page((), True, nowhere)
    first, second = scene.publish().position, scene.publish().position

    assert await scene.layer.history(ROOM, second, 10) == Page((), True, second)
    assert await scene.layer.history(ROOM, first, 10) == Page((), False, second)


async def read(scene: Scene, after: Position, limit: int = 10) -> tuple[list[bytes], bool]:
    page = await scene.layer.history(ROOM, after, limit)
    assert [at.offset for at, _ in page.entries] == sorted(at.offset for at, _ in page.entries)
    return [payload for _, payload in page.entries], page.complete


async def test_history_is_bounded_in_events_bytes_and_age(scene: Scene, clock: Clock) -> None:
    """What exceeds any of the three goes, the oldest first, and a page says that it is not complete."""
    start = Position(scene.publish(payload=b"0", keep=KEEP).position.epoch, 0)
    for payload in (b"1", b"2", b"3"):
        scene.publish(payload=payload, keep=KEEP)
    assert await read(scene, start) == ([b"1", b"2", b"3"], False)
    assert await read(scene, Position(start.epoch, 1)) == ([b"1", b"2", b"3"], True)
    assert await read(scene, Position(start.epoch, 1), 2) == ([b"1", b"2"], True)

    scene.publish(payload=b"12345678", keep=KEEP)
    assert await read(scene, Position(start.epoch, 2)) == ([b"2", b"3", b"12345678"], True)
    clock.now += 5
    scene.publish(payload=b"new", keep=KEEP)
    clock.now += 5
    assert await read(scene, start) == ([b"new"], False)
    clock.now += 5
    assert await read(scene, start) == ([], False)


async def test_an_event_larger_than_the_history_empties_it(scene: Scene) -> None:
    """A history has no holes."""
    start = Position(scene.publish(payload=b"0", keep=KEEP).position.epoch, 0)
    scene.publish(payload=b"x" * 100, keep=KEEP)
    scene.publish(payload=b"2", keep=KEEP)
    assert await read(scene, start) == ([b"2"], False)


async def test_all_histories_together_are_bounded(clock: Clock) -> None:
    """The one goes that was least recently pushed to or read; a room that is forgotten counts no more."""
    scene = Scene(MemoryLayer(idle_room_s=60, max_history_bytes=450, clock=clock))
    await scene.start()
    keep = Retention(events=10, max_bytes=100, ttl_s=1000)
    a, b, c = (RoomName(name) for name in "abc")
    start = {room: Position(scene.publish(room, b"8 bytes.", keep=keep).position.epoch, 0) for room in (a, b)}
    assert (await scene.layer.history(a, start[a], 9)).complete
    start[c] = Position(scene.publish(c, b"8 bytes.", keep=keep).position.epoch, 0)
    assert [(await scene.layer.history(room, start[room], 9)).complete for room in (a, b, c)] == [
        True,
        False,
        True,
    ]

    clock.now += 2000
    for room in (a, b, c):
        scene.publish(room, b"8 bytes.")
    start = {
        room: Position(scene.publish(room, b"9 bytes..", keep=keep).position.epoch, 1) for room in (b, c)
    }
    pages = [await scene.layer.history(room, start[room], 9) for room in (b, c)]
    assert [page.complete for page in pages] == [True, True]


async def test_an_event_that_is_not_kept_ends_the_history(scene: Scene) -> None:
    """A policy that was changed leaves no holes either."""
    start = Position(scene.publish(payload=b"0", keep=KEEP).position.epoch, 0)
    scene.publish(payload=b"1")
    scene.publish(payload=b"2", keep=KEEP)
    assert await read(scene, start) == ([b"2"], False)


async def test_positions_of_elsewhere_have_no_history(scene: Scene) -> None:
    """Of another epoch, or from the future."""
    top = scene.publish(payload=b"0", keep=KEEP).position
    assert await scene.layer.history(ROOM, Position("other", 0), 10) == Page((), False, top)
    assert await scene.layer.history(ROOM, Position(top.epoch, 2), 10) == Page((), False, top)


async def test_an_idle_room_is_remembered_as_long_as_its_history(clock: Clock) -> None:
    """Members that come back within that time resume."""
    scene = Scene(MemoryLayer(idle_room_s=2, clock=clock))
    await scene.start()
    start = scene.publish(payload=b"0", keep=KEEP).position
    clock.now += 5
    scene.publish(RoomName("other"))
    assert (await scene.layer.attach(ROOM)).epoch == start.epoch
    scene.layer.detach(ROOM)
    clock.now += 6
    assert (await scene.layer.attach(ROOM)).epoch != start.epoch


async def test_churn_of_one_idle_room_leaves_nothing_behind(clock: Clock) -> None:
    """Each room stands in the queue of those to forget once, however often it comes and goes."""
    layer = MemoryLayer(clock=clock)
    scene = Scene(layer)
    await scene.start()
    for _ in range(1000):
        await layer.attach(ROOM)
        layer.detach(ROOM)
        scene.publish()
    assert len(layer._looks) == 1


def test_layer_says_that_it_is_not_shared() -> None:
    """Behind several workers it would be several layers."""
    assert MemoryLayer.shared is False


class MemoryMachine(RuleBasedStateMachine):
    """Whatever happens, an epoch has one gapless order, told the same in receipts and deliveries."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = Clock()
        self.scene = Scene(
            MemoryLayer(idle_room_s=10, max_idle_rooms=1, key_ttl_s=5, max_keys_per_room=50, clock=self.clock)
        )
        self.attached: dict[RoomName, Position] = {}
        self.tops: dict[str, int] = {}
        self.seqs: dict[tuple[RoomName, int], Position] = {}
        self.keys: dict[tuple[RoomName, str], tuple[float, Position]] = {}
        self.epochs: dict[RoomName, str] = {}
        self.run(self.scene.start())

    def run(self, coroutine: object) -> object:
        return self.loop.run_until_complete(coroutine)  # type: ignore[arg-type]

    def teardown(self) -> None:
        self.loop.close()

    def see(self, room: RoomName, at: Position) -> None:
        if room in self.attached:
            assert self.attached[room].epoch == at.epoch, "an attached room changed its epoch"
        if self.epochs.get(room) != at.epoch:
            assert at.epoch not in self.tops, "an epoch came back"
            self.epochs[room] = at.epoch

    @rule(room=st.sampled_from(ROOMS), repeat=st.integers(0, 3), key=st.none() | st.sampled_from("ab"))
    def publish(self, room: RoomName, repeat: int, key: str | None) -> None:
        number = self.scene.numbers + 1 if repeat else max(1, self.scene.numbers)
        before = len(self.scene.delivered)

        async def call() -> Receipt:
            return self.scene.publish(room, b"x", seq=ProducerSeq("p", number), key=key)

        receipt = self.run(call())
        assert isinstance(receipt, Receipt)
        at = receipt.position
        known = self.tops.get(at.epoch, 0)
        self.see(room, at)
        delivered = self.scene.delivered[before:]
        expires, keyed = self.keys.get((room, key or ""), (0.0, None))
        if receipt.duplicate:
            assert at in (self.seqs.get((room, number)), keyed)
            assert at.offset <= known
            assert delivered == []
            return
        assert (room, number) not in self.seqs or self.seqs[room, number].epoch != at.epoch
        assert key is None or keyed is None or keyed.epoch != at.epoch or expires <= self.clock.now
        assert at.offset == known + 1
        self.tops[at.epoch] = at.offset
        self.seqs[room, number] = at
        if key is not None:
            self.keys[room, key] = (self.clock.now + 5, at)
        assert delivered == ([(room, at, b"x")] if room in self.attached else [])

    @rule(room=st.sampled_from(ROOMS))
    def attach(self, room: RoomName) -> None:
        at = self.run(self.scene.layer.attach(room))
        assert isinstance(at, Position)
        self.see(room, at)
        assert at.offset == self.tops.setdefault(at.epoch, 0)
        self.attached[room] = at

    @rule(room=st.sampled_from(ROOMS))
    def detach(self, room: RoomName) -> None:
        self.scene.layer.detach(room)
        self.attached.pop(room, None)

    @rule(seconds=st.sampled_from([1, 4, 6, 11]))
    def wait(self, seconds: int) -> None:
        self.clock.now += seconds

    @invariant()
    def bounded(self) -> None:
        assert len(self.scene.layer._rooms) <= len(ROOMS)  # type: ignore[attr-defined] # no other way to count them


TestMemory = MemoryMachine.TestCase
TestMemory.settings = settings(max_examples=50)
