"""Redis that gives up a subscriber which does not read quickly enough.

Broken: messages go through Redis to every server process. Redis keeps what a subscriber has not read yet up to
`client-output-buffer-limit pubsub`, then it closes that connection. The client library subscribes again by itself,
and what was published meanwhile is gone for every member on that process, without a word.
Signature: a run of messages is missing, the same one for every client, while their connections stay open; Redis
counts a disconnection (`client_output_buffer_limit_disconnections` of INFO).
Cure: a larger limit (the usual one is 32 MiB), smaller messages, history by which a node catches up.
Knob: BUFFER_KB, the limit.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator

from fastapi import FastAPI, WebSocket
from redis.asyncio import Redis

from examples.broken.serving import HOST, number, serve

BUFFER_KB = int(number("BUFFER_KB", 128))
CHANNEL = "everyone"

clients: set[WebSocket] = set()


@contextlib.contextmanager
def private_redis() -> Iterator[int]:
    """Start a Redis of our own that ends with us; yield its port."""
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        raise SystemExit("this example needs redis-server or valkey-server")
    with socket.socket() as free, tempfile.TemporaryDirectory() as folder:
        free.bind((HOST, 0))
        port: int = free.getsockname()[1]
        free.close()
        limit = f"pubsub {BUFFER_KB}kb {BUFFER_KB}kb 0"  # this is the fault
        command = [
            program,
            "--port",
            str(port),
            "--bind",
            HOST,
            "--dir",
            folder,
            "--save",
            "",
            "--appendonly",
            "no",
        ]
        process = subprocess.Popen(  # noqa: S603  # no shell; the program is the one that was found
            [*command, "--loglevel", "warning", "--client-output-buffer-limit", limit]
        )
        try:
            yield port
        finally:
            process.terminate()
            process.wait()


@contextlib.asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    with private_redis() as port:
        async with Redis(host=HOST, port=port) as redis:
            app.state.redis = redis
            await wait_until_up(redis)
            task = asyncio.create_task(fan_out(redis))
            yield
            task.cancel()


async def wait_until_up(redis: Redis) -> None:
    while True:
        with contextlib.suppress(ConnectionError, OSError):
            await redis.ping()
            return
        await asyncio.sleep(0.02)


async def fan_out(redis: Redis) -> None:
    """Pass what comes from Redis to every client of this process."""
    async with redis.pubsub(ignore_subscribe_messages=True) as subscription:
        await subscription.subscribe(CHANNEL)
        async for message in subscription.listen():
            for client in list(clients):
                await client.send_text(message["data"].decode())


app = FastAPI(lifespan=lifespan)


@app.websocket("/ws")
async def publish(websocket: WebSocket) -> None:
    await websocket.accept()
    clients.add(websocket)
    try:
        async for message in websocket.iter_text():
            await app.state.redis.publish(CHANNEL, message)
    finally:
        clients.discard(websocket)


if __name__ == "__main__":
    serve(app)
