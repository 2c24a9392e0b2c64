"""The whole hub against a model: any interleaving of what producers, members and their transports may do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from roomful.core.errors import ConnectionClosed
from roomful.core.limits import Limits
from roomful.core.names import RoomName
from roomful.hub.member import State
from tests.clock import VirtualLoop, settled
from tests.fakes import FakeKind
from tests.hub.scene import Client, Scene

KINDS = (FakeKind("json"), FakeKind("raw", has_positions=False))
ROOMS = ("r", "s")
COUNT = 4
who = st.integers(0, COUNT - 1)
rooms = st.sampled_from(ROOMS)
actions = st.sampled_from(["push", "send", "fill", "lose", "raise"])


@dataclass
class Model:
    """What one client must get: in each room, and before each direct send."""

    events: dict[str, list[str]] = field(default_factory=lambda: {room: [] for room in ROOMS})
    directs: dict[str, set[str]] = field(default_factory=dict)

    @property
    def everything(self) -> set[str]:
        return {text for texts in self.events.values() for text in texts} | self.directs.keys()


class HubMachine(RuleBasedStateMachine):
    """Members of both kinds in several rooms; what happens may happen within a write too."""

    @initialize()
    def start(self) -> None:
        self.loop = VirtualLoop()
        self.number = 0
        self.clients: list[Client] = []
        self.models: list[Model] = []
        self.run(self._start())

    async def _start(self) -> None:
        limits = Limits(max_batch_frames=3, max_outbox_messages=6, max_rooms_per_connection=3)
        self.scene = Scene(limits)
        await self.scene.engine.start()
        for index in range(COUNT):
            self.clients.append(self.scene.client(KINDS[index % 2]))
            self.models.append(Model())
            await self.clients[index].connection.join("r")

    def run(self, awaitable: Awaitable[object]) -> None:
        self.loop.run_until_complete(awaitable)  # type: ignore[arg-type] # a coroutine

    def now(self, call: Callable[..., object], *args: object) -> None:
        async def run() -> None:
            call(*args)

        self.run(run())

    # What producers and consumers do, also from within.

    def _push(self, room: str, exclude: int | None = None) -> None:
        self.number += 1
        at = f"{room}@{self.scene.top(room) + 1}"
        for index, (client, model) in enumerate(zip(self.clients, self.models, strict=True)):
            if room in client.connection.rooms:
                if index != exclude:
                    model.events[room].append(f"{at} {self.number}")
                elif client.connection.kind == KINDS[0]:
                    model.events[room].append(at)
        id_ = None if exclude is None else self.clients[exclude].connection.id
        self.scene.engine.pushing.push_nowait(room, str(self.number), exclude=id_)

    def _send(self, index: int) -> None:
        client, model = self.clients[index], self.models[index]
        if client.connection.state is State.OPEN:
            self.number += 1
            model.directs[f"direct {self.number}"] = model.everything
            client.connection.send(f"direct {self.number}")

    def _fill(self, index: int) -> None:
        if self.clients[index].connection.state is State.OPEN:
            self.clients[index].wire.pause()

    def _lose(self, index: int) -> None:
        if not self.clients[index].connection.is_lost:
            self.clients[index].wire.lose()

    def _receive(self, index: int, does: Callable[[], None]) -> None:
        async def handle() -> None:
            does()

        client = self.clients[index]
        client.handler.does["do"] = handle
        client.connection.received("do")

    # Rules.

    @rule(index=who, room=rooms)
    def join(self, index: int, room: str) -> None:
        async def join() -> None:
            try:
                await self.clients[index].connection.join(room)
            except ConnectionClosed:
                assert self.clients[index].connection.state > State.OPEN

        self.run(join())

    @rule(index=who, room=rooms)
    def leave(self, index: int, room: str) -> None:
        self.now(self.clients[index].connection.leave, room)

    @rule(room=rooms, exclude=st.none() | who, count=st.sampled_from([1, 3]))
    def push(self, room: str, exclude: int | None, count: int) -> None:
        """Push several in a row, so that batches fill up."""

        def push() -> None:
            for _ in range(count):
                self._push(room, exclude)

        self.now(push)

    @rule(index=who)
    def send(self, index: int) -> None:
        self.now(self._send, index)

    @rule(index=who)
    def pause(self, index: int) -> None:
        self.now(self._fill, index)

    @rule(index=who, takes=st.none() | st.integers(1, 3))
    def resume(self, index: int, takes: int | None) -> None:
        client = self.clients[index]
        if client.wire.is_paused and not client.wire.is_lost:
            self.now(client.wire.resume, takes)

    @rule(index=who, code=st.sampled_from([1000, 4500]))
    def close(self, index: int, code: int) -> None:
        self.now(self.clients[index].connection.close, code)

    @rule(index=who)
    def lose(self, index: int) -> None:
        self.now(self._lose, index)

    @rule(index=who, other=who, action=actions, room=rooms, pushes=st.sampled_from([0, 1, 3]))
    def within_a_write(self, index: int, other: int, action: str, room: str, pushes: int) -> None:
        """Let something happen within the next write to a client, and perhaps bring that about."""
        wire = self.clients[index].wire

        def act() -> None:
            wire.on_write = None
            if action == "fill":
                self._fill(other)
            elif action == "lose":
                self._lose(other)
            elif action == "raise":
                raise OSError
            elif action == "push":
                self._receive(other, lambda: self._push(room))
            else:
                self._receive(other, lambda: self._send(index))

        wire.on_write = act
        self.push(room, None, pushes)

    @rule(index=who, room=rooms)
    def receive(self, index: int, room: str) -> None:
        self.now(self._receive, index, lambda: self._push(room))

    @rule()
    def passes(self) -> None:
        self.run(asyncio.sleep(0))

    @precondition(lambda self: any(client.connection.is_lost for client in self.clients))
    @rule()
    def come_back(self) -> None:
        """Put a new client in the place of each that has ended."""

        async def come_back() -> None:
            await settled()
            for index, client in enumerate(self.clients):
                if client.connection.is_lost:
                    self.clients[index] = self.scene.client(KINDS[index % 2])
                    self.models[index] = Model()

        self.run(come_back())

    @rule()
    def settle(self) -> None:
        """When nothing more happens by itself each member has everything, in its wire or in its outbox."""
        self.run(settled())
        for client, model in zip(self.clients, self.models, strict=True):
            if client.connection.state is State.OPEN:
                assert set(self._stream(client)) >= model.everything

    # What always holds.

    @staticmethod
    def _stream(client: Client) -> list[str]:
        outbox = client.connection._outbox
        waiting = [] if outbox is None else [entry.frame.data for entry in outbox._entries.values()]
        return [*client.written, *waiting]  # type: ignore[list-item] # texts

    @invariant()
    def each_room_comes_in_order_and_once(self) -> None:
        for client, model in zip(self.clients, self.models, strict=True):
            stream = self._stream(client)
            assert len(set(stream)) == len(stream) or any(text.startswith("joined") for text in stream)
            for room, expected in model.events.items():
                got = [text for text in stream if text.startswith(f"{room}@")]
                assert got == expected[: len(got)]

    @invariant()
    def no_direct_send_overtakes(self) -> None:
        for client, model in zip(self.clients, self.models, strict=True):
            stream = self._stream(client)
            for text, before in model.directs.items():
                if text in stream:
                    assert before <= set(stream[: stream.index(text)])

    @invariant()
    def memberships_have_no_holes(self) -> None:
        for client in self.clients:
            if client.connection.kind != KINDS[0]:
                continue
            at: dict[str, int] = {}
            for text in self._stream(client):
                words = text.split()
                joined = words[0] == "joined"
                room, _, offset = (words[1] if joined else words[0]).partition("@")
                if offset:
                    assert joined or int(offset) == at[room] + 1
                    at[room] = int(offset)

    @invariant()
    def hub_counts_what_is_there(self) -> None:
        statistics = self.scene.engine.statistics()
        rooms = {RoomName(room) for client in self.clients for room in client.connection.rooms}
        assert statistics.rooms == len(rooms)
        assert statistics.memberships == sum(len(client.connection.rooms) for client in self.clients)

    def teardown(self) -> None:
        if hasattr(self, "loop"):
            for client in self.clients:
                client.wire.on_write = None
            self.run(self._end())
            self.loop.close()

    async def _end(self) -> None:
        await settled()
        await self.scene.assert_nothing_is_left()


TestHub = HubMachine.TestCase
TestHub.settings = settings(max_examples=60, stateful_step_count=40)
