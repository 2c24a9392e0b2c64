"""Answers: a message that is sent again is handled once, and answered as the first time or as in doubt."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable
from functools import partial
from typing import Any

import pytest

from roomful.consumers import Answers, ConsumerBase, Plan, Session, Threads, bind_plainly, on
from roomful.consumers.answers import IN_DOUBT
from roomful.core.deed import default_key
from roomful.core.errors import LayerAway, ReplyError
from roomful.core.limits import Limits
from roomful.layers.memory import MemoryLayer
from roomful.wire import EventsCodec
from tests.clock import after, now, passes
from tests.fakes import FakeLink, FakePusher

LIMITS = Limits(answer_ttl_s=60, max_answers_per_client=3, max_answer_bytes=100, in_doubt_after_s=5)


class State(MemoryLayer):
    """Keyed state that may be away."""

    def __init__(self) -> None:
        super().__init__(clock=lambda: asyncio.get_running_loop().time())
        self.is_away = False

    async def put_once(self, key: str, value: bytes, *, ttl_s: float) -> bool:
        self._reach()
        return await super().put_once(key, value, ttl_s=ttl_s)

    async def put(self, key: str, value: bytes, *, ttl_s: float) -> None:
        self._reach()
        await super().put(key, value, ttl_s=ttl_s)

    def _reach(self) -> None:
        if self.is_away:
            raise LayerAway("away")

    @property
    def size(self) -> int:
        return len(self._values)


class Shop(ConsumerBase):
    """Sells things, once each."""

    sold: list[Any]
    keys: list[str | None]
    gate: asyncio.Event | None = None

    @on("buy")
    async def buy(self, thing: str) -> str:
        self.sold.append(thing)
        self.keys += [default_key(), default_key()]
        if self.gate is not None:
            await self.gate.wait()
        if thing == "nothing":
            raise ReplyError("empty", "nothing is for sale")
        if thing == "crash":
            raise ValueError
        return f"{thing} {len(self.sold)}"

    @on("later")
    async def later(self) -> None:
        self.task = asyncio.ensure_future(self._push_later())

    async def _push_later(self) -> None:
        await asyncio.sleep(1)
        self.keys.append(default_key())

    @on("long")
    async def long(self) -> str:
        self.sold.append("long")
        return "x" * 200

    @on("odd")
    async def odd(self) -> object:
        self.sold.append("odd")
        return object()


class Scene:
    """Processes that share one state."""

    def __init__(self) -> None:
        self.state = State()
        self.sold: list[Any] = []
        self.keys: list[str | None] = []

    def process(self) -> Answers:
        return Answers(self.state, LIMITS, clock=asyncio.get_running_loop().time)

    def session(self, answers: Answers, client: str | None = "c", principal: str = "") -> Customer:
        link, shop = FakeLink(), Shop()
        shop.sold, shop.keys = self.sold, self.keys
        shop.bind(link, FakePusher(), {})  # type: ignore[arg-type] # a part of the port
        session = Session(shop, link, Plan(Shop, EventsCodec(), PLAINLY), None)
        if client is not None:
            session.remember(answers.of(client, principal=principal, place="shop"))
        return Customer(session, shop, link)


class Customer:
    """One connection of a client."""

    def __init__(self, session: Session, shop: Shop, link: FakeLink) -> None:
        self.session, self.shop, self.link = session, shop, link

    def begin(self, type_: str, data: object = None, id: object = 1) -> Awaitable[None]:
        return self.session.handle(json.dumps({"type": type_, "data": data, "id": id}))

    async def send(self, type_: str, data: object = None, id: object = 1) -> object:
        """Send a message and return the answer."""
        await self.begin(type_, data, id)
        return self.link.calls.pop()


PLAINLY = partial(bind_plainly, threads=Threads(1))


@pytest.fixture
async def scene() -> Scene:
    return Scene()


async def test_message_that_is_sent_again_gets_the_first_answer(scene: Scene) -> None:
    """On another connection, in another process, a value or an error; its handler is not called again."""
    here, there = scene.process(), scene.process()
    first, second = scene.session(here), scene.session(there)
    for thing, id_ in (("tea", 1), ("nothing", "1"), ("crash", 2)):
        answer = await first.send("buy", thing, id_)
        assert await second.send("buy", thing, id_) == answer
        assert await scene.session(here).send("buy", thing, id_) == answer

    assert scene.sold == ["tea", "nothing", "crash"]
    assert (here.repeated, there.repeated, here.in_doubt) == (3, 3, 0)
    assert (await first.send("buy", "milk", 3)) == ("reply", 3, "milk 4")


async def test_only_the_same_client_gets_it(scene: Scene) -> None:
    """Another client, another principal under the same name, and a client without a name are handled each."""
    answers = scene.process()
    for client, principal in (("c", ""), ("d", ""), ("c", "ada"), (None, ""), (None, "")):
        await scene.session(answers, client, principal).send("buy", "tea")
    assert scene.sold == ["tea"] * 5
    assert scene.state.size == 3

    named = scene.session(answers)
    await named.session.handle('{"type":"buy","data":"tea"}')
    assert scene.state.size == 3, "a message without an id costs nothing"


async def test_copy_waits_for_the_first_in_the_same_process(scene: Scene) -> None:
    """However long that takes; both get one answer."""
    answers = scene.process()
    first, second = scene.session(answers), scene.session(answers)
    first.shop.gate = asyncio.Event()
    begun = asyncio.ensure_future(first.begin("buy", "tea"))
    await passes(3)
    copies = [asyncio.ensure_future(second.begin("buy", "tea")) for _ in range(2)]
    await after(100)
    assert not any(copy.done() for copy in copies)
    first.shop.gate.set()
    await asyncio.gather(begun, *copies)

    assert first.link.calls == [("reply", 1, "tea 1")]
    assert second.link.calls == [("reply", 1, "tea 1")] * 2
    assert scene.sold == ["tea"]


async def test_copy_in_another_process_waits_and_is_then_in_doubt(scene: Scene) -> None:
    """It gets the answer that comes in time; a process that says nothing may have died in the middle."""
    here, there = scene.process(), scene.process()
    first, second = scene.session(here), scene.session(there)
    first.shop.gate = asyncio.Event()
    begun = asyncio.ensure_future(first.begin("buy", "tea"))
    await passes(3)
    copy = asyncio.ensure_future(second.begin("buy", "tea"))
    await after(4)
    first.shop.gate.set()
    await asyncio.gather(begun, copy)
    assert second.link.calls == [("reply", 1, "tea 1")]

    first.shop.gate = asyncio.Event()
    begun = asyncio.ensure_future(first.begin("buy", "milk", 2))
    await passes(3)
    copy = asyncio.ensure_future(second.begin("buy", "milk", 2))
    await after(5.1)
    assert copy.done()
    assert second.link.calls[-1][:2] == ("error", "in_doubt")
    assert there.in_doubt == 1
    first.shop.gate.set()
    await begun
    assert await second.send("buy", "milk", 2) == ("reply", 2, "milk 2"), "it was done, as is known now"
    assert scene.sold == ["tea", "milk"]


async def test_handler_that_was_cut_short_leaves_its_message_in_doubt(scene: Scene) -> None:
    """Nobody handles it again, and nobody waits: neither who waits already nor who comes later."""
    answers = scene.process()
    first, second = scene.session(answers), scene.session(answers)
    first.shop.gate = asyncio.Event()
    begun = asyncio.ensure_future(first.begin("buy", "tea"))
    await passes(3)
    waiting = asyncio.ensure_future(second.begin("buy", "tea"))
    await passes(3)
    begun.cancel()
    await passes(3)
    assert begun.cancelled()
    assert waiting.done()
    assert second.link.calls[0][:2] == ("error", "in_doubt")
    before = now()
    assert (await second.send("buy", "tea"))[:2] == ("error", "in_doubt")  # type: ignore[index] # a tuple
    assert now() == before
    assert scene.sold == ["tea"]


async def test_message_that_cannot_be_claimed_is_not_handled(scene: Scene) -> None:
    """The client may try again, and nothing has happened."""
    customer = scene.session(scene.process())
    scene.state.is_away = True
    assert (await customer.send("buy", "tea"))[:2] == ("error", "unavailable")  # type: ignore[index] # a tuple
    assert scene.sold == []
    scene.state.is_away = False
    assert await customer.send("buy", "tea") == ("reply", 1, "tea 1")


async def test_answer_that_cannot_be_kept_is_given_once(scene: Scene) -> None:
    """The client that is there gets it; a copy is in doubt."""
    answers = scene.process()
    customer = scene.session(answers)
    customer.shop.gate = asyncio.Event()
    begun = asyncio.ensure_future(customer.begin("buy", "tea"))
    await passes(3)
    scene.state.is_away = True
    customer.shop.gate.set()
    await begun
    assert customer.link.calls == [("reply", 1, "tea 1")]
    scene.state.is_away = False
    assert (await customer.send("buy", "tea"))[:2] == ("error", "in_doubt")  # type: ignore[index] # a tuple


async def test_answer_that_is_too_long_is_not_kept(scene: Scene) -> None:
    """The first copy gets it; a later one learns that it was handled."""
    customer = scene.session(scene.process())
    assert await customer.send("long") == ("reply", 1, "x" * 200)
    assert (await customer.send("long"))[:2] == ("error", "answer_too_long")  # type: ignore[index] # a tuple
    assert scene.sold == ["long"]


async def test_message_that_cannot_be_decoded_is_not_remembered(scene: Scene) -> None:
    """It has no effect, so its id is free; a result that cannot be written is an error as ever."""
    customer = scene.session(scene.process())
    assert (await customer.send("buy", 7))[:2] == ("error", "invalid_message")  # type: ignore[index] # a tuple
    assert await customer.send("buy", "tea") == ("reply", 1, "tea 1")
    assert (await customer.send("odd", id=2))[:2] == ("error", "internal")  # type: ignore[index] # a tuple
    assert (await customer.send("odd", id=2))[:2] == ("error", "internal")  # type: ignore[index] # a tuple
    assert scene.sold == ["tea", "odd"]


async def test_answers_are_kept_for_their_time_and_number(scene: Scene) -> None:
    """The oldest of a client go first; after their time nothing is left of them."""
    answers = scene.process()
    customer = scene.session(answers)
    for number in range(5):
        await customer.send("buy", str(number), number)
    assert scene.state.size == 3
    await customer.send("buy", "4", 4)
    assert len(scene.sold) == 5
    await customer.send("buy", "0", 0)
    assert len(scene.sold) == 6

    await after(61)
    await customer.send("buy", "4", 4)
    assert len(scene.sold) == 7
    assert scene.state.size == 1
    assert answers._running == {}


async def test_pushes_of_a_handler_have_keys_that_a_copy_has_too(scene: Scene) -> None:
    """Should a message be handled a second time all the same, what it pushes is known."""
    customer = scene.session(scene.process())
    await customer.send("buy", "tea")
    await after(61)
    await customer.send("buy", "tea")
    await customer.send("buy", "tea", 2)
    first, second, other = scene.keys[:2], scene.keys[2:4], scene.keys[4:]
    assert first == second
    assert None not in first
    assert len({*first, *other}) == 4
    assert default_key() is None

    await scene.session(scene.process(), None).send("buy", "tea", 3)
    assert scene.keys[6:] == [None, None]


async def test_task_that_outlives_its_handler_has_no_keys(scene: Scene) -> None:
    """What it pushes then is no part of the message."""
    await scene.session(scene.process()).send("later")
    await after(2)

    assert scene.keys == [None]


async def test_memory_has_a_name_as_long_as_it_lasts(scene: Scene) -> None:
    """All processes know the same; a state that has lost everything has another."""
    name = await scene.process().memory()
    assert await scene.process().memory() == name
    await scene.state.stop()
    assert await scene.process().memory() != name


async def test_wait_of_a_loop_that_died_is_not_waited_for(scene: Scene) -> None:
    """A copy that comes on another loop finds the claim of the first, which nobody works on any more."""
    answers = scene.process()
    await scene.state.put_once("answer:k", b"?" + answers._process, ttl_s=60)
    other = asyncio.new_event_loop()
    answers._running["answer:k"] = other.create_future()
    other.close()

    assert await answers.claim("answer:k") == IN_DOUBT
