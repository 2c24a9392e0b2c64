"""The world of a fault: a server, two nodes in processes of their own, members on both, and senders that never rest.

Members come back with the position that they had, to whichever node lives. Everything is told to a judge.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import msgspec
import picows

from roomful.testing.fault_proxy import FaultProxy

from ..layers.servers import BINARIES, Server
from .judge import Judge

__all__ = ("ROOMS", "Node", "World", "until")

ROOT: Final = Path(__file__).parents[2]
ROOMS: Final = ("kept:hall", "bare:hall")
_PAUSE_S: Final = 0.01
_LAST: Final = 2  # pushes of each sender at the end, so that whatever is missing before them shows
_BATCH: Final = 12


async def until(condition: Callable[[], bool], *, timeout_s: float = 60.0) -> None:
    """Return once the condition holds.

    Raises:
        TimeoutError: It does not.
    """
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 -- it is about other processes, which set no event
            await asyncio.sleep(_PAUSE_S)


class _Message(msgspec.Struct):
    type: str = ""
    data: Any = None
    room: str = ""
    pos: str = ""
    epoch: str = ""
    ranges: list[list[int]] | None = None
    reason: str = ""
    reply: int | None = None
    error: Any = None


_decode = msgspec.json.Decoder(_Message).decode


class Node:
    """A node's process."""

    def __init__(self, layer: str) -> None:
        self._layer = layer
        self.port = 0
        self.log = ""
        self.process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.faults.node", self._layer, str(self.port),
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert self.process.stdout is not None
        line = await self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"node did not start: {(await self.process.communicate())[1].decode()}")
        self.port = int(line)
        self._reading = asyncio.create_task(self._read(self.process))

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        async for line in process.stderr:
            self.log += line.decode()

    async def kill(self) -> None:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        if self._reading is not None:
            await self._reading

    def cpu_s(self) -> float:
        assert self.process is not None
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class _Listener(picows.WSListener):
    def __init__(self, take: Any) -> None:
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._take = take

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        if frame.msg_type == picows.WSMsgType.TEXT:
            self._take(_decode(frame.get_payload_as_bytes()))

    def on_ws_disconnected(self, transport: picows.WSTransport) -> None:
        if not self.ended.done():
            self.ended.set_result(None)


class _Member:
    """Listens to a room for ever, wherever it can."""

    def __init__(self, world: World, name: str, room: str, home: int) -> None:
        self.name = name
        self.room = room
        self.resumes = 0
        self.last: dict[str, int] = {}
        self._world = world
        self._home = home
        self._pos = ""
        self._transport: picows.WSTransport | None = None
        self.joined = asyncio.Event()

    async def live(self) -> None:
        attempt = 0
        while True:
            node = self._world.nodes[(self._home + attempt) % 2]
            query = f"?resume={quote(json.dumps({self.room: self._pos}))}" if self._pos else ""
            with suppress(OSError, picows.WSError, TimeoutError):
                listener: _Listener
                self._transport, listener = await picows.ws_connect(  # type: ignore[assignment]
                    lambda: _Listener(self._take), f"ws://127.0.0.1:{node.port}/member/{self.room}{query}"
                )
                await listener.ended
            self.resumes += 1
            attempt += 1
            await asyncio.sleep(_PAUSE_S)

    def _take(self, message: _Message) -> None:
        judge = self._world.judge
        if message.type == "e":
            self._pos = message.pos
            sender, number, _ = message.data
            self.last[sender] = number
            judge.arrived(self.name, self.room, message.pos, sender, number)
        elif message.type == "roomful.joined":
            self._pos = self._pos or message.pos
            self.joined.set()
        elif message.type == "roomful.gap":
            judge.gap(self.name, self.room, message.reason, message.epoch, message.ranges)

    def leave(self) -> None:
        if self._transport is not None:
            self._transport.disconnect()


class _Sender:
    """Has events pushed, some at once, and asks for the next when it knows what became of these."""

    def __init__(self, world: World, name: str, room: str, home: int) -> None:
        self.name = name
        self.room = room
        self.number = 0
        self.pushed = 0
        self._world = world
        self._home = home
        self._calls = 0
        self._answers: dict[int, asyncio.Future[_Message]] = {}
        self._transport: picows.WSTransport | None = None
        self._listener: _Listener | None = None

    async def _connected(self) -> tuple[picows.WSTransport, _Listener]:
        while self._transport is None or self._listener is None or self._listener.ended.done():
            node = self._world.nodes[self._home]
            try:
                self._transport, self._listener = await picows.ws_connect(  # type: ignore[assignment]
                    lambda: _Listener(self._answered), f"ws://127.0.0.1:{node.port}/sender"
                )
            except (OSError, picows.WSError, TimeoutError):
                await asyncio.sleep(_PAUSE_S)
        return self._transport, self._listener

    def _answered(self, message: _Message) -> None:
        if message.reply is not None and (answer := self._answers.pop(message.reply, None)) is not None:
            answer.set_result(message)

    async def ask(self, type_: str, data: Any) -> _Message | None:
        """Return the answer, or None when the connection ended before it came."""
        transport, listener = await self._connected()
        self._calls += 1
        answer = self._answers[self._calls] = asyncio.get_running_loop().create_future()
        text = json.dumps({"type": type_, "data": data, "id": self._calls}).encode()
        transport.send(picows.WSMsgType.TEXT, text)
        await asyncio.wait((answer, listener.ended), return_when="FIRST_COMPLETED")
        return answer.result() if answer.done() else None

    async def push(self, count: int) -> bool:
        """Have so many pushed; return whether all took effect."""
        first = self.number + 1
        self.number += count
        answer = await self.ask("push", [self.room, self.name, first, count, self._world.pad])
        outcomes = ["unknown"] * count if answer is None else answer.data
        for number, outcome in enumerate(outcomes, first):
            self._world.judge.pushed(self.room, self.name, number, outcome)
        return all(":" in outcome for outcome in outcomes)

    async def live(self) -> None:
        while not self._world.is_over:
            if not await self.push(1 + self.number % _BATCH):
                await asyncio.sleep(_PAUSE_S)
            await asyncio.sleep(self._world.pause_s)


class World:
    """Everything; entered with `async with`."""

    def __init__(
        self,
        kind: str,
        *options: str,
        members: int = 8,
        senders: int = 2,
        over_tcp: bool = False,
        pad: int = 60,
        pause_s: float = 0.0,
    ) -> None:
        self.judge = Judge()
        self.pad = pad
        self.pause_s = pause_s
        self.is_over = False
        self.proxy: FaultProxy | None = None
        self._over_tcp = over_tcp
        self._port = 0
        self.server = Server(BINARIES[kind], *options)
        self.nodes: list[Node] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._sending: list[asyncio.Task[None]] = []
        self.members = [
            _Member(self, f"m{node}.{number}", ROOMS[number % 2], node)
            for node in range(2)
            for number in range(members)
        ]
        self.senders = [
            _Sender(self, f"s{node}.{number}", ROOMS[number % 2], node)
            for node in range(2)
            for number in range(senders)
        ]

    async def __aenter__(self) -> World:
        try:
            await self._begin()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def _begin(self) -> None:
        self.server.__enter__()
        url = self.server.url
        if self._over_tcp:
            # The server chooses no port by itself, so one is found for it.
            with self.server.client() as client:
                for port in range(20_000 + os.getpid() % 10_000, 60_000):
                    with suppress(Exception):
                        client.config_set("port", port)
                        break
            self.proxy = FaultProxy(port)
            await self.proxy.__aenter__()
            url = f"redis://127.0.0.1:{self.proxy.port}"
        self.nodes = [Node(url), Node(url)]
        await asyncio.gather(*(node.start() for node in self.nodes))
        for member in self.members:
            for sender in self.senders:
                if sender.room == member.room:
                    self.judge.expects(member.name, member.room, sender.name)
        self._tasks = [asyncio.create_task(member.live()) for member in self.members]
        await asyncio.gather(*(member.joined.wait() for member in self.members))
        self._sending = [asyncio.create_task(sender.live()) for sender in self.senders]

    async def __aexit__(self, *_: object) -> None:
        for task in (*self._tasks, *self._sending):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._sending, return_exceptions=True)
        for node in self.nodes:
            if node.process is not None:
                await node.kill()
        if self.proxy is not None:
            await self.proxy.__aexit__(None, None, None)
        self.server.__exit__(None, None, None)

    async def arrivals(self, count: int, *, timeout_s: float = 300.0) -> None:
        """Wait until so many events more have come to members."""
        goal = self.judge.arrivals + count
        await until(lambda: self.judge.arrivals >= goal, timeout_s=timeout_s)

    async def whole_again(self) -> float:
        """Wait until every member has got something that every sender has pushed after now; return the seconds."""
        began = asyncio.get_running_loop().time()
        await self._heard({sender.name: sender.number + 1 for sender in self.senders})
        return asyncio.get_running_loop().time() - began

    async def finish(self) -> None:
        """Let the senders end, and wait until every member has the last event of each."""
        self.is_over = True
        await asyncio.wait(self._sending)
        for sender in self.senders:
            async with asyncio.timeout(60):
                while not await sender.push(_LAST):  # noqa: ASYNC110 -- the layer may still be away
                    await asyncio.sleep(_PAUSE_S)
        await self._heard({sender.name: sender.number for sender in self.senders})

    async def _heard(self, numbers: dict[str, int]) -> None:
        """Wait until every member has come as far with each sender of its room."""
        owed = [
            (member, sender.name)
            for member in self.members
            for sender in self.senders
            if sender.room == member.room
        ]
        await until(lambda: all(member.last.get(name, 0) >= numbers[name] for member, name in owed))

    async def status(self) -> list[list[Any]]:
        """Return what each node says of its layer."""
        found = []
        for node in range(2):
            sender = next(sender for sender in self.senders if sender.name.startswith(f"s{node}"))
            answer = await sender.ask("status", None)
            found.append(answer.data if answer is not None else [])
        return found

    def logged(self, pattern: str) -> int:
        """Return how often something stands in the nodes' logs."""
        return sum(len(re.findall(pattern, node.log)) for node in self.nodes)
