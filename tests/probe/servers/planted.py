"""Small real servers with one known property each: a capacity, a limit, a rule by which they drop.

`python tests/probe/servers/planted.py --max-size 5000` prints its port and serves until it is terminated.
"""

# ruff: noqa: T201  # a program prints

from __future__ import annotations

import argparse
import asyncio
import os
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from http import HTTPStatus

from websockets.asyncio.server import Request, Response, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

__all__ = ("Planted", "serving")


@dataclass(frozen=True, slots=True)
class Planted:
    """What the server does; with nothing set it echoes at once.

    Attributes:
        capacity: Messages a second that it works off, evenly, over all connections.
        max_size: Largest message in bytes.
        queue: Messages that its queue holds; a newer one is dropped. It works off one each `work_s`.
        drop_every, duplicate_every, corrupt_every, swap_every: It does so with each so manieth message.
        broadcast: Everybody gets every message.
        answer: It answers with this text instead of the message; a `%s` in it is the message.
        status: HTTP status with which it refuses.
        die_after: It ends its process after so many messages.
        close_after: It closes the connection with 1011 after so many messages.
        mute_after: It takes messages and says nothing after so many.
        block_s: It blocks its loop for so long for each message.
        slow_s: It takes this long for each message, one after the other.
    """

    capacity: float = 0.0
    max_size: int = 0
    queue: int = 0
    work_s: float = 0.05
    drop_every: int = 0
    duplicate_every: int = 0
    corrupt_every: int = 0
    swap_every: int = 0
    broadcast: bool = False
    answer: str = ""
    status: int = 0
    die_after: int = 0
    close_after: int = 0
    mute_after: int = 0
    slow_s: float = 0.0
    block_s: float = 0.0


class _Server:
    def __init__(self, planted: Planted) -> None:
        self.planted = planted
        self.free_at = 0.0
        self.count = 0
        self.connections: set[ServerConnection] = set()

    async def handle(self, connection: ServerConnection) -> None:
        planted = self.planted
        self.connections.add(connection)
        queue: asyncio.Queue[str | bytes] = asyncio.Queue(planted.queue)
        worker = asyncio.create_task(self.work(connection, queue)) if planted.queue else None
        try:
            number = 0
            held: deque[str | bytes] = deque()
            async for message in connection:
                self.count += 1
                number += 1
                if planted.die_after and self.count > planted.die_after:
                    os._exit(7)
                if planted.close_after and number > planted.close_after:
                    await connection.close(1011, "planted")
                    return
                if planted.mute_after and number > planted.mute_after:
                    continue
                if worker is not None:
                    if not queue.full():
                        queue.put_nowait(message)
                    continue
                await self.pace()
                await self.answer(connection, message, number, held)
        except ConnectionClosed:
            pass  # by its own limit, as planted
        finally:
            self.connections.discard(connection)
            if worker is not None:
                worker.cancel()

    async def pace(self) -> None:
        if self.planted.block_s:
            time.sleep(self.planted.block_s)  # noqa: ASYNC251  # as planted
        if self.planted.slow_s:
            await asyncio.sleep(self.planted.slow_s)
        if not self.planted.capacity:
            return
        now = asyncio.get_running_loop().time()
        # A timer is late by up to a millisecond; what it loses is made up for, or the capacity would be less than said.
        self.free_at = max(self.free_at, now - 0.02) + 1 / self.planted.capacity
        # Timers are late by a millisecond or so; what is due within one is done at once.
        if self.free_at - now > 0.002:
            await asyncio.sleep(self.free_at - now)

    async def work(self, connection: ServerConnection, queue: asyncio.Queue[str | bytes]) -> None:
        while True:
            # It begins when a burst has been taken in as a whole, so that the queue's size alone decides.
            while queue.empty() or not await self.quiet(queue):  # noqa: ASYNC110  # it waits for quiet, no event
                await asyncio.sleep(self.planted.work_s / 4)
            while not queue.empty():
                await connection.send(queue.get_nowait())

    async def quiet(self, queue: asyncio.Queue[str | bytes]) -> bool:
        before = self.count
        await asyncio.sleep(self.planted.work_s)
        return before == self.count

    async def answer(
        self, connection: ServerConnection, message: str | bytes, number: int, held: deque[str | bytes]
    ) -> None:
        planted = self.planted

        def each(every: int) -> bool:
            return bool(every) and number % every == 0

        if each(planted.drop_every):
            return
        if planted.answer and isinstance(message, str):
            message = planted.answer % message if "%s" in planted.answer else planted.answer
        if each(planted.corrupt_every):
            message = message[:-1] + ("!" if isinstance(message, str) else b"!")  # type: ignore[operator]  # of one type
        if each(planted.swap_every):
            held.append(message)
            return
        receivers = self.connections if planted.broadcast else {connection}
        for receiver in list(receivers):
            await receiver.send(message)
            if each(planted.duplicate_every):
                await receiver.send(message)
            while held:
                await receiver.send(held.popleft())

    def refuse(self, connection: ServerConnection, request: Request) -> Response | None:
        return connection.respond(HTTPStatus(self.planted.status), "no\n") if self.planted.status else None


@asynccontextmanager
async def serving(planted: Planted) -> AsyncIterator[str]:
    """Serve in this loop; yield the URL."""
    server = _Server(planted)
    async with serve(
        server.handle,
        "127.0.0.1",
        0,
        max_size=planted.max_size or None,
        compression=None,
        process_request=server.refuse,
        ping_interval=None,
        close_timeout=0.2,
    ) as listening:
        port = next(iter(listening.sockets)).getsockname()[1]
        yield f"ws://127.0.0.1:{port}/"


async def main(planted: Planted) -> None:
    """Serve for ever, in a process of its own."""
    async with serving(planted) as url:
        print(url, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for field in fields(Planted):
        kind = {"float": float, "int": int, "str": str}.get(str(field.type))
        if kind is None:
            parser.add_argument(f"--{field.name.replace('_', '-')}", action="store_true")
        else:
            parser.add_argument(f"--{field.name.replace('_', '-')}", type=kind, default=field.default)
    asyncio.run(main(Planted(**vars(parser.parse_args()))))
