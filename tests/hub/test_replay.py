"""Replays: a member that comes back gets what it missed, then goes on with everybody; what is gone is told."""

from __future__ import annotations

import asyncio
import gc

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from roomful.core.errors import ConnectionClosed, LayerError, PolicyError, RoomFull
from roomful.core.limits import Limits
from roomful.core.names import RoomName
from roomful.core.policies import RoomPolicy
from roomful.core.ports import Joined
from roomful.core.positions import Position
from roomful.hub import replay
from tests.clock import VirtualLoop, passes
from tests.fakes import FakeKind
from tests.hub.scene import Client, Scene, outcome, soon

JSON, RAW = FakeKind("json"), FakeKind("raw", has_positions=False)
LOBBY = RoomName("lobby")


async def pushed(scene: Scene, count: int, room: str = "lobby") -> None:
    for number in range(1, count + 1):
        await scene.push(room, str(number))
    await passes(3)


async def test_a_member_gets_what_it_missed_before_anything_new(scene: Scene) -> None:
    """It is whole again when it has joined, and its client knows that."""
    ann = scene.client(JSON)
    await pushed(scene, 3)
    joined = await ann.connection.join("lobby", since=Position("e", 1))
    await scene.push("lobby", "new")
    await passes(2)
    assert joined.recovered
    assert joined.position == Position("e", 3)
    assert ann.written == ["lobby@2 2", "lobby@3 3", "joined lobby@3 recovered", "lobby@4 new"]


async def test_who_has_missed_nothing_is_recovered_without_a_replay(scene: Scene) -> None:
    """The layer's history is not asked."""
    ann = scene.client(JSON)
    await pushed(scene, 2)
    assert (await ann.connection.join("lobby", since="e:2")).recovered
    assert (ann.written, scene.layer.pages) == (["joined lobby@2 recovered"], 0)


@pytest.mark.parametrize(
    ("since", "told"),
    [
        ("e:0", ["gap lobby evicted 1-2", "lobby@3 3"]),
        ("e:1", ["gap lobby evicted 2-2", "lobby@3 3"]),
        ("e:9", ["gap lobby unknown"]),
        ("other:1", ["gap lobby epoch"]),
        ("no position", ["gap lobby unknown"]),
        ("e:00", ["gap lobby unknown"]),
        ("", ["gap lobby unknown"]),
        ("e:" + "9" * 500, ["gap lobby unknown"]),
    ],
)
async def test_what_cannot_be_had_is_told_before_the_room_goes_on(
    scene: Scene, since: str, told: list[str]
) -> None:
    """Evicted, from the future, of another epoch, or no position at all: a notice, then everything that comes."""
    ann = scene.client(JSON)
    await pushed(scene, 3)
    scene.layer.evicted[LOBBY] = 2
    joined = await ann.connection.join("lobby", since=since)
    await scene.push("lobby", "new")
    await passes(2)
    assert not joined.recovered
    assert ann.written == [*told, "joined lobby@3", "lobby@4 new"]


async def test_a_history_that_has_nothing_left_is_one_range(scene: Scene) -> None:
    """Up to where the room stands, and no further."""
    ann = scene.client(JSON)
    await pushed(scene, 3)
    scene.layer.evicted[LOBBY] = 3
    await ann.connection.join("lobby", since="e:1")
    assert ann.written == ["gap lobby evicted 2-3", "joined lobby@3"]


async def test_a_client_says_once_for_each_room_where_it_stood(scene: Scene) -> None:
    """What its handshake said is picked up by the first join of that room alone."""
    ann = scene.client(JSON)
    await pushed(scene, 2)
    await pushed(scene, 1, "other")
    ann.connection.resume({"lobby": "e:1", "elsewhere": "e:1"})
    await ann.connection.join("other")
    await ann.connection.join("lobby")
    ann.connection.leave("lobby")
    await ann.connection.join("lobby")
    assert ann.written == ["joined other@1", "lobby@2 2", "joined lobby@2 recovered", "joined lobby@2"]


async def test_members_that_ask_for_the_same_share_pages_and_frames(scene: Scene) -> None:
    """Ten thousand that come back cost one reading of the history, and one frame for each event."""
    await pushed(scene, 100)
    clients = [scene.client(JSON) for _ in range(20)]
    await asyncio.gather(*(client.connection.join("lobby", since="e:0") for client in clients))
    assert scene.layer.pages == 2
    for client in clients:
        assert len(client.written) == 101
        assert client.written[0] is clients[0].written[0]


async def test_many_that_come_back_do_not_hold_up_the_loop(scene: Scene) -> None:
    """In one pass of the loop a few get a page; pushes go on between."""
    await pushed(scene, 10)
    healthy = await scene.member("lobby", kind=JSON)
    clients = [scene.client(JSON) for _ in range(100)]
    joins = [soon(client.connection.join("lobby", since="e:0")) for client in clients]
    most, before, is_pushed = 0, 0, False
    while not all(join.done() for join in joins):
        await asyncio.sleep(0)
        now = sum(bool(client.written) for client in clients)
        most, before = max(most, now - before), now
        if now >= 50 and not is_pushed:
            is_pushed = True
            await scene.push("lobby", "between")
    await passes(3)
    assert most <= 8
    assert healthy.written == ["lobby@11 between"]
    for client in clients:
        offsets = [int(text.split()[0].partition("@")[2]) for text in client.written if text[0] != "j"]
        assert offsets == list(range(1, 12))


async def test_a_member_that_reads_slowly_holds_nobody_up(scene: Scene) -> None:
    """Its replay waits for it; others pass by; it ends up whole."""
    await pushed(scene, 200)
    slow, quick = scene.client(JSON), scene.client(JSON)
    slow.wire.pause()
    first = soon(slow.connection.join("lobby", since="e:0"))
    second = soon(quick.connection.join("lobby", since="e:0"))
    await passes(20)
    assert (first.done(), second.done()) == (False, True)
    while not first.done():
        slow.wire.resume(1)
        await passes(2)
    assert [text for text in slow.written if text.startswith("lobby@")] == [
        text for text in quick.written if text.startswith("lobby@")
    ]


async def test_a_client_that_goes_during_its_replay_leaves_nothing(scene: Scene) -> None:
    """The join says that the connection has ended, and the room is given back."""
    await pushed(scene, 3)
    ann = scene.client(JSON)
    scene.layer.history_gate = asyncio.get_running_loop().create_future()
    join = soon(outcome(ann.connection.join("lobby", since="e:1")))
    await passes(3)
    ann.wire.lose()
    scene.layer.history_gate.set_result(None)
    await passes(3)
    assert isinstance(await join, ConnectionClosed)


async def test_a_room_that_fills_while_it_is_attached_refuses_the_handshake() -> None:
    """Whoever may no longer become a member is not accepted by the attempt, so it can be answered by HTTP."""
    scene = Scene(rooms={"small": RoomPolicy(max_members=1)})
    scene.layer.attach_gate = asyncio.get_running_loop().create_future()
    ann, bob = scene.opening(), scene.opening()
    joins = [soon(outcome(client.connection.join("small"))) for client in (ann, bob)]
    await passes(3)
    scene.layer.attach_gate.set_result(None)
    first, second = [await join for join in joins]
    assert isinstance(first, Joined)
    assert isinstance(second, RoomFull)
    assert (ann.connection.is_open, bob.connection.is_opening) == (True, True)
    ann.connected()
    bob.connected()


async def test_who_leaves_during_its_join_is_no_member_afterwards(scene: Scene) -> None:
    """Whoever calls `leave` meanwhile is heard, and the next join is one like any other."""
    await pushed(scene, 3)
    ann = scene.client(JSON)
    scene.layer.history_gate = asyncio.get_running_loop().create_future()
    join = soon(ann.connection.join("lobby", since="e:1"))
    await passes(3)
    ann.connection.leave("lobby")
    ann.connection.leave("lobby")
    scene.layer.history_gate.set_result(None)
    await join
    await pushed(scene, 1)
    await passes(2)
    assert ann.connection.rooms == frozenset()
    assert scene.engine.statistics().rooms == 0
    assert ann.written == ["lobby@2 2", "lobby@3 3", "joined lobby@3 recovered"]
    await ann.connection.join("lobby")
    assert ann.connection.rooms == {"lobby"}


async def test_a_history_that_cannot_be_read_fails_the_join(scene: Scene) -> None:
    """The consumer decides what then; the next join tries again."""
    await pushed(scene, 3)
    ann = scene.client(JSON)
    scene.layer.history_gate = asyncio.get_running_loop().create_future()
    scene.layer.history_gate.set_exception(LayerError("away"))
    with pytest.raises(LayerError, match="away"):
        await ann.connection.join("lobby", since="e:1")
    assert ann.connection.rooms == frozenset()
    scene.layer.history_gate = None
    assert (await ann.connection.join("lobby", since="e:1")).recovered


async def test_a_join_that_failed_may_be_tried_again_from_where_the_client_stood(scene: Scene) -> None:
    """What the handshake said is used up by a join that succeeds."""
    await pushed(scene, 2)
    ann = scene.client(JSON)
    ann.connection.resume({"lobby": "e:1"})
    scene.layer.history_gate = asyncio.get_running_loop().create_future()
    scene.layer.history_gate.set_exception(LayerError("away"))
    with pytest.raises(LayerError, match="away"):
        await ann.connection.join("lobby")
    scene.layer.history_gate = None
    await ann.connection.join("lobby")
    assert ann.written == ["lobby@2 2", "joined lobby@2 recovered"]


async def test_two_joins_of_one_connection_replay_once(scene: Scene) -> None:
    """The second waits for the first and changes nothing."""
    await pushed(scene, 3)
    ann = scene.client(JSON)
    both = [soon(ann.connection.join("lobby", since="e:1")) for _ in range(2)]
    await asyncio.gather(*both)
    assert ann.written == ["lobby@2 2", "lobby@3 3", "joined lobby@3 recovered"]


async def test_an_unreadable_event_is_told_in_a_replay(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    """The others come."""
    await pushed(scene, 3)
    scene.layer.kept[LOBBY][1] = b"\x09nonsense"
    ann = scene.client(JSON)
    await ann.connection.join("lobby", since="e:0")
    assert ann.written == ["lobby@1 1", "gap lobby unreadable 2-2", "lobby@3 3", "joined lobby@3"]
    assert "cannot be read" in caplog.text


async def test_who_cannot_be_told_of_an_unreadable_event_is_not_recovered(scene: Scene) -> None:
    """What `join` returns is all that the consumer of a connection that owns its wire learns."""
    await pushed(scene, 3)
    scene.layer.kept[LOBBY][1] = b"\x09nonsense"
    ann = scene.client(RAW)
    joined = await ann.connection.join("lobby", since="e:0")
    assert (joined.recovered, ann.written) == (False, ["lobby@1 1", "lobby@3 3"])


# ── A process that is not where another one is ──


async def test_a_client_that_was_further_than_this_process_gets_nothing_twice(scene: Scene) -> None:
    """Another process had brought it there; this one catches up first."""
    await scene.member("lobby", kind=JSON)
    scene.layer.holds = True
    await pushed(scene, 3)
    ann = scene.client(JSON)
    joined = await ann.connection.join("lobby", since="e:2")
    scene.layer.release()
    scene.layer.holds = False
    await pushed(scene, 1)
    assert joined.recovered
    assert ann.written == ["lobby@3 3", "joined lobby@3 recovered", "lobby@4 1"]


async def test_a_room_without_history_catches_up_with_a_client_too(scene: Scene) -> None:
    """What this process has not delivered is missed by those who stayed; who has it is told nothing."""
    bob = await scene.member("lobby", kind=JSON)
    scene.layer.holds = True
    await pushed(scene, 2)
    scene.layer.evicted[LOBBY] = 2
    ann = scene.client(JSON)
    joined = await ann.connection.join("lobby", since="e:2")
    scene.layer.release()
    scene.layer.holds = False
    await pushed(scene, 1)
    assert joined.recovered
    assert ann.written == ["joined lobby@2 recovered", "lobby@3 1"]
    assert bob.written == ["gap lobby evicted 1-2", "lobby@3 1"]


async def test_what_comes_while_the_history_is_read_is_not_missed(scene: Scene) -> None:
    """The page that says that nothing follows is older than the room by the time that it is here."""
    scene.layer.holds = True
    bob = await scene.member("lobby", kind=JSON)
    await pushed(scene, 2)
    scene.layer.history_answers = answers = asyncio.get_running_loop().create_future()
    ann = scene.client(JSON)
    join = soon(ann.connection.join("lobby", since="e:2"))
    await passes(3)
    await pushed(scene, 1)
    scene.layer.release()
    scene.layer.holds = False
    answers.set_result(None)
    await join
    await passes(3)
    assert ann.written == ["lobby@3 1", "joined lobby@3 recovered"]
    assert bob.written == ["lobby@1 1", "lobby@2 2", "lobby@3 1"]


async def test_a_room_stands_where_it_was_attached(scene: Scene) -> None:
    """What came late from an earlier subscription puts nobody behind that."""
    await pushed(scene, 3)
    scene.layer.evicted[LOBBY] = 3
    scene.layer.attach_gate = asyncio.get_running_loop().create_future()
    ann = scene.client(JSON)
    join = soon(ann.connection.join("lobby"))
    await passes(2)
    assert scene.layer.deliver is not None
    scene.layer.deliver(LOBBY, Position("e", 1), scene.layer.kept[LOBBY][0])
    scene.layer.attach_gate.set_result(None)
    await join
    await pushed(scene, 1)
    assert ann.written == ["joined lobby@3", "lobby@4 1"]


# ── Bounded ──


async def test_a_replay_ends_while_more_is_pushed_than_a_page_holds(scene: Scene) -> None:
    """It takes more at once until it gets nearer; nothing is evicted under it."""
    await pushed(scene, 500)
    ann = scene.client(JSON)
    join = soon(ann.connection.join("lobby", since="e:0"))
    for _ in range(60):
        for _ in range(100):
            scene.engine.pushing.push_nowait("lobby", "x")
        await passes(1)
    assert join.done()


async def test_large_events_are_read_once(scene: Scene) -> None:
    """What of a page does not go into one write waits for the next."""
    await scene.member("lobby")
    for _ in range(20):
        scene.engine.pushing.push_nowait("lobby", "x" * 50_000)
    await passes(3)
    ann = scene.client(JSON)
    await ann.connection.join("lobby", since="e:0")
    assert len(ann.written) == 21
    assert scene.layer.pages == 1


async def test_a_member_that_reads_slowly_does_not_keep_what_others_were_replayed(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it comes back, so do many others, each from elsewhere."""
    monkeypatch.setattr(replay, "_SHARED_BYTES", 100_000)
    await pushed(scene, 200)
    slow = scene.client(JSON)
    slow.wire.pause()
    join = soon(outcome(slow.connection.join("lobby", since="e:0")))
    await passes(3)
    replays = scene.engine.memberships._replays
    most = 0
    for since in range(190):
        await scene.client(JSON).connection.join("lobby", since=f"e:{since}")
        (shared,) = replays._shared.values()
        pages = sum(len(task.result().entries) for task in shared.pages.values())
        entries = sum(map(len, shared.entries.values()))
        most = max(most, pages + entries)
    assert most * replay._ENTRY_BYTES <= 100_000
    slow.wire.lose()
    await join
    assert (replays._shared, replays._size) == ({}, 0)


async def test_a_history_that_fails_when_nobody_waits_for_it_is_no_error(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    """The client had gone."""
    await pushed(scene, 3)
    scene.layer.history_gate = gate = asyncio.get_running_loop().create_future()
    join = soon(outcome(scene.client(JSON).connection.join("lobby", since="e:1")))
    await passes(3)
    join.cancel()
    await passes(3)
    gate.set_exception(LayerError("away"))
    await passes(3)
    gc.collect()
    assert caplog.text == ""


async def test_who_leaves_and_resumes_gets_no_push_that_excluded_it(scene: Scene) -> None:
    """In the replay too, it gets the position."""
    ann, bob = scene.client(JSON), scene.client(JSON)
    await ann.connection.join("lobby")
    ann.connection.leave("lobby")
    await scene.push("lobby", "own", exclude=ann)
    for client in (bob, ann):
        await client.connection.join("lobby", since="e:0")
    assert bob.written == ["lobby@1 own", "joined lobby@1 recovered"]
    assert ann.written == ["joined lobby@0", "lobby@1", "joined lobby@1 recovered"]


# ── Policies at the door ──


async def test_a_full_room_takes_nobody_else() -> None:
    """The connection is not accepted by the attempt, and a member that leaves makes room."""
    scene = Scene(rooms={"small": RoomPolicy(max_members=1)})
    await scene.engine.start()
    ann = await scene.member("small")
    bob = scene.opening()
    with pytest.raises(RoomFull, match="1 members"):
        await bob.connection.join("small")
    assert bob.connection.is_opening
    ann.connection.leave("small")
    await bob.connection.join("small")
    bob.connected()
    await scene.assert_nothing_is_left()


async def test_who_cannot_be_told_may_not_join_a_room_that_skips() -> None:
    """A connection that owns its wire gets no notices."""
    scene = Scene(rooms={"cursor:*": RoomPolicy(on_slow="conflate")})
    await scene.engine.start()
    bob = scene.client(RAW)
    with pytest.raises(PolicyError, match="owns its wire"):
        await bob.connection.join("cursor:1")
    await scene.assert_nothing_is_left()


# ── Any interleaving ──

who = st.integers(0, 2)


class ReplayMachine(RuleBasedStateMachine):
    """Clients that go and come back with the last position that they got: every event once, in order, or told."""

    @initialize()
    def start(self) -> None:
        self.loop = VirtualLoop()
        self.number = 0
        self.clients: list[Client | None] = [None, None, None]
        self.streams: list[list[str]] = [[], [], []]
        self.joins: list[asyncio.Future[object] | None] = [None, None, None]
        self.scene = self.run(self._start())

    async def _start(self) -> Scene:
        scene = Scene(Limits(max_batch_frames=3, max_outbox_messages=200))
        await scene.engine.start()
        return scene

    def run(self, coroutine: object) -> object:
        return self.loop.run_until_complete(coroutine)  # type: ignore[arg-type]

    @rule(count=st.sampled_from([1, 2, 70]))
    def push(self, count: int) -> None:
        async def push() -> None:
            for _ in range(count):
                self.number += 1
                self.scene.engine.pushing.push_nowait("lobby", str(self.number))

        self.run(push())

    @rule()
    def lose_deliveries(self) -> None:
        async def lose() -> None:
            self.scene.layer.holds = True
            for _ in range(2):
                self.number += 1
                self.scene.engine.pushing.push_nowait("lobby", str(self.number))
            self.scene.layer.lose()
            self.scene.layer.holds = False
            assert self.scene.layer.suspect is not None
            self.scene.layer.suspect(LOBBY)

        self.run(lose())

    @rule()
    def lag(self) -> None:
        """Let what is pushed come here later."""
        self.scene.layer.holds = True

    @rule()
    def arrive(self) -> None:
        self.scene.layer.holds = False
        self.run(self._call(self.scene.layer.release))

    @rule(index=who)
    def be_served_elsewhere(self, index: int) -> None:
        """A client that is not here gets all that there is from another process."""
        if self.clients[index] is None:
            offsets = range(self.last(index) + 1, self.scene.top("lobby") + 1)
            self.streams[index] += [f"lobby@{offset} x" for offset in offsets]

    @rule(count=st.integers(1, 40))
    def evict(self, count: int) -> None:
        evicted = self.scene.layer.evicted
        evicted[LOBBY] = min(self.scene.top("lobby"), evicted.get(LOBBY, 0) + count)

    @rule(index=who)
    def come(self, index: int) -> None:
        async def come() -> None:
            if self.clients[index] is None:
                client = self.clients[index] = self.scene.client(JSON)
                self.joins[index] = soon(
                    outcome(client.connection.join("lobby", since=f"e:{self.last(index)}"))
                )

        self.run(come())

    @rule(index=who)
    def go(self, index: int) -> None:
        async def go() -> None:
            client = self.clients[index]
            if client is not None:
                self.streams[index] += client.take()
                client.wire.lose()
                self.clients[index] = None

        self.run(go())

    @rule(index=who)
    def fill(self, index: int) -> None:
        client = self.clients[index]
        if client is not None and not client.wire.is_paused:
            self.run(self._call(client.wire.pause))

    @rule(index=who)
    def resume(self, index: int) -> None:
        client = self.clients[index]
        if client is not None and client.wire.is_paused:
            self.run(self._call(lambda: client.wire.resume(None)))

    @staticmethod
    async def _call(call: object) -> None:
        call()  # type: ignore[operator]

    @rule(count=st.integers(1, 5))
    def passes(self, count: int) -> None:
        self.run(passes(count))

    def last(self, index: int) -> int:
        last = 0
        for text in self.stream(index):
            words = text.split()
            if words[0] == "gap":
                last = max([last, *(int(r.partition("-")[2]) for r in words[3].split(","))])
            elif words[0] != "joined":
                last = int(words[0].partition("@")[2])
        return last

    def stream(self, index: int) -> list[str]:
        client = self.clients[index]
        return self.streams[index] + ([] if client is None else client.written)

    @invariant()
    def each_gets_every_event_once_in_order_or_is_told(self) -> None:
        for index in range(3):
            at = 0
            for text in self.stream(index):
                words = text.split()
                if words[0] == "joined":
                    assert int(words[1].partition("@")[2]) == at
                elif words[0] == "gap":
                    assert words[2] == "evicted"
                    first, _, last = words[3].partition("-")
                    assert int(first) == at + 1
                    at = int(last)
                else:
                    assert int(words[0].partition("@")[2]) == at + 1
                    at += 1

    def teardown(self) -> None:
        if hasattr(self, "scene"):
            try:
                self.run(self._end())
            finally:
                self.loop.close()

    async def _end(self) -> None:
        self.scene.layer.holds = False
        self.scene.layer.release()
        for client in self.clients:
            if client is not None and client.wire.is_paused:
                client.wire.resume(None)
        await passes(100)
        for index, client in enumerate(self.clients):
            if client is not None and client.connection.is_open:  # else it was too slow, and knows that
                assert self.last(index) == self.scene.top("lobby")
        await self.scene.assert_nothing_is_left()


TestReplay = ReplayMachine.TestCase
TestReplay.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
