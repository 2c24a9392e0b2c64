"""What happens to a member that reads too slowly is its room's policy, and it is always told."""

from __future__ import annotations

import asyncio

import pytest

from roomful.core.errors import PolicyError
from roomful.core.events import Event
from roomful.core.limits import Limits
from roomful.core.names import RoomName
from roomful.core.policies import RoomPolicy
from roomful.core.ports import Receipt
from tests.clock import after, passes
from tests.fakes import FakeKind
from tests.hub.scene import Client, Scene, soon

JSON, RAW = FakeKind("json"), FakeKind("raw", has_positions=False)
POLICIES = {
    "drop:*": RoomPolicy(on_slow="drop_oldest"),
    "conflate:*": RoomPolicy(on_slow="conflate"),
}


@pytest.fixture
async def scene() -> Scene:
    """Give a hub whose outboxes take four frames."""
    scene = Scene(Limits(max_outbox_messages=4), POLICIES)
    scene.codec.takes_events = True
    await scene.engine.start()
    return scene


async def push(scene: Scene, room: str, *texts: str, conflate: str = "") -> None:
    for text in texts:
        await scene.engine.pushing.push(room, Event("e", text), conflate=conflate)
    await passes(3)


async def slow_member(scene: Scene, *rooms: str) -> Client:
    client = await scene.member(*rooms, kind=JSON)
    client.wire.pause()
    return client


async def test_the_oldest_are_dropped_and_told_before_the_next(scene: Scene) -> None:
    """One notice with the exact range, then what is left, in order."""
    ann, bob = await slow_member(scene, "drop:1"), await scene.member("drop:1", kind=JSON)
    await push(scene, "drop:1", "a", "b", "c", "d", "e", "f")
    ann.wire.resume()
    await push(scene, "drop:1", "g")
    assert ann.written == [
        "gap drop:1 slow 1-2",
        *(f"drop:1@{number} {text}" for number, text in enumerate("cdefg", 3)),
    ]
    assert len(bob.written) == 7
    assert scene.engine.statistics().slow == {"drop:1": {"drop_oldest": 2}}
    await scene.assert_nothing_is_left()


async def test_a_newer_event_takes_the_place_of_the_older_with_its_key(scene: Scene) -> None:
    """It stands where the newer one came, and what was replaced is told."""
    ann = await slow_member(scene, "conflate:1")
    await push(scene, "conflate:1", "x1", conflate="x")
    await push(scene, "conflate:1", "y1", conflate="y")
    await push(scene, "conflate:1", "x2", conflate="x")
    await push(scene, "conflate:1", "none")
    await push(scene, "conflate:1", "x3", conflate="x")
    ann.wire.resume()
    assert ann.written == [
        "gap conflate:1 slow 1-1,3-3",
        "conflate:1@2 y1",
        "conflate:1@4 none",
        "conflate:1@5 x3",
    ]
    assert scene.engine.statistics().slow == {"conflate:1": {"conflate": 2}}
    await scene.assert_nothing_is_left()


async def test_a_healthy_member_gets_every_value(scene: Scene) -> None:
    """Keys matter behind a full transport alone."""
    ann = await scene.member("conflate:1", kind=JSON)
    await push(scene, "conflate:1", "x1", "x2", conflate="x")
    assert ann.written == ["conflate:1@1 x1", "conflate:1@2 x2"]
    await scene.assert_nothing_is_left()


async def test_a_key_means_nothing_where_the_policy_does_not_conflate(scene: Scene) -> None:
    """No event of a room is replaced whose policy does not say so."""
    ann = await slow_member(scene, "plain")
    await push(scene, "plain", "x1", "x2", conflate="x")
    ann.wire.resume()
    assert ann.written == ["plain@1 x1", "plain@2 x2"]
    await scene.assert_nothing_is_left()


async def test_what_may_be_skipped_makes_room_for_what_may_not(scene: Scene) -> None:
    """A member is let go only when its outbox is full of what nobody may skip."""
    ann = await slow_member(scene, "drop:1", "plain")
    await push(scene, "drop:1", "a", "b", "c")
    await push(scene, "plain", "1", "2", "3", "4")
    assert ann.connection.is_open
    ann.wire.resume()
    assert ann.written == ["plain@1 1", "plain@2 2", "plain@3 3", "plain@4 4", "gap drop:1 slow 1-3"]
    await scene.assert_nothing_is_left()


async def test_an_outbox_full_of_what_may_not_be_skipped_skips_what_comes(scene: Scene) -> None:
    """A room that skips never costs a member its connection."""
    ann = await slow_member(scene, "drop:1", "plain")
    await push(scene, "plain", "1", "2", "3", "4")
    await push(scene, "drop:1", "a")
    assert ann.connection.is_open
    await push(scene, "plain", "5")
    assert not ann.connection.is_open
    assert scene.engine.statistics().slow == {"drop:1": {"drop_oldest": 1}, "plain": {"disconnect": 1}}
    await scene.assert_nothing_is_left()


@pytest.mark.parametrize("message", ["text", b"bytes"])
async def test_a_message_that_cannot_say_what_it_follows_is_refused(
    scene: Scene, message: str | bytes
) -> None:
    """In rooms that skip each message must have a place for its position."""
    with pytest.raises(PolicyError, match=r"may skip events \(drop_oldest\)"):
        await scene.engine.pushing.push("drop:1", message)
    await scene.assert_nothing_is_left()


# ── push(wait=True) ──


async def wait_and_push(scene: Scene, room: str, text: str, timeout_s: float) -> int:
    receipt = await scene.engine.pushing.push_and_wait(
        room, Event("e", text), exclude=None, key=None, conflate="", timeout_s=timeout_s
    )
    return receipt.slow


async def test_a_push_that_waits_lets_slow_members_keep_up(scene: Scene) -> None:
    """As long as they read, nothing is skipped and nobody is let go."""
    ann = await slow_member(scene, "plain")
    await push(scene, "plain", "a", "b", "c")
    pushing = soon(wait_and_push(scene, "plain", "d", 10))
    await passes(5)
    assert not pushing.done()
    ann.wire.resume(1)
    await passes(3)
    assert await pushing == 0
    ann.wire.resume()
    assert [text[-1] for text in ann.written] == ["a", "b", "c", "d"]
    await scene.assert_nothing_is_left()


@pytest.mark.parametrize(("room", "slow"), [("plain", 1), ("drop:1", 1)])
async def test_a_push_that_has_waited_long_enough_takes_place(scene: Scene, room: str, slow: int) -> None:
    """Its receipt says how many members fell to the room's policy."""
    await slow_member(scene, room)
    await push(scene, room, "a", "b", "c", "d")
    before = asyncio.get_running_loop().time()
    assert await wait_and_push(scene, room, "e", 3) == slow
    assert asyncio.get_running_loop().time() - before == 3
    await after(0)
    await scene.assert_nothing_is_left()


async def test_pushes_that_wait_at_once_count_each_for_itself(scene: Scene) -> None:
    """One that ends takes nothing from another, over a layer that answers later."""
    publish, answers = scene.layer.publish, []

    def answer_later(*args: object, **more: object) -> asyncio.Future[Receipt]:
        receipt = publish(*args, **more).result()  # type: ignore[arg-type] # as it is called
        answers.append((asyncio.get_running_loop().create_future(), receipt))
        return answers[-1][0]

    scene.layer.publish = answer_later  # type: ignore[method-assign] # for one test
    pushing = [soon(wait_and_push(scene, "drop:1", text, 3)) for text in "ab"]
    await passes(2)
    (first, first_receipt), (second, second_receipt) = answers
    second.set_result(second_receipt)
    assert await pushing[1] == 0
    scene.engine.pushing.fell_behind(scene.client().connection, RoomName("drop:1"), "drop_oldest")
    first.set_result(first_receipt)
    assert await pushing[0] == 1
    await scene.assert_nothing_is_left()


async def test_a_member_that_stays_crowded_keeps_no_push_that_has_waited(scene: Scene) -> None:
    """However many have."""
    ann = await slow_member(scene, "drop:1")
    await push(scene, "drop:1", "a", "b", "c", "d")
    for _ in range(5):
        await wait_and_push(scene, "drop:1", "e", 1)
    await passes(2)
    crowded = ann.connection._room_to_write
    assert crowded is not None
    assert not crowded._callbacks
    await scene.assert_nothing_is_left()


async def test_a_push_waits_for_nobody_who_has_room(scene: Scene) -> None:
    """Neither for members of other rooms."""
    await scene.member("plain", kind=JSON)
    await slow_member(scene, "other")
    await push(scene, "other", "a", "b", "c", "d")
    assert await wait_and_push(scene, "plain", "a", 3) == 0
    await scene.assert_nothing_is_left()


async def test_a_member_that_ends_lets_the_push_go_on(scene: Scene) -> None:
    """Nobody waits for who has gone."""
    ann = await slow_member(scene, "plain")
    await push(scene, "plain", "a", "b", "c")
    pushing = soon(wait_and_push(scene, "plain", "d", 10))
    await passes(3)
    ann.wire.lose()
    await passes(3)
    assert pushing.done()
    await scene.assert_nothing_is_left()
