"""A queue that drops the newest message when it is full, and tells nobody.

Broken: the handler puts messages into a bounded queue for a worker, and forgets those that do not fit. Many libraries
do so behind `put_nowait`.
Signature: connections stay open and messages are missing; of a burst the first come, the end is missing.
Cure: `await queue.put(message)`, so that TCP holds the sender back, or tell the client what was dropped.
Knobs: QUEUE, how many messages it holds; WORK_MS, what the worker takes for one.
"""

from __future__ import annotations

import asyncio

from fastapi import FastAPI, WebSocket

from examples.broken.serving import number, serve

QUEUE = int(number("QUEUE", 50))
WORK_S = number("WORK_MS", 2) / 1000

app = FastAPI()


@app.websocket("/ws")
async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    queue: asyncio.Queue[str] = asyncio.Queue(QUEUE)
    worker = asyncio.create_task(work(websocket, queue))
    try:
        async for message in websocket.iter_text():
            if not queue.full():  # and otherwise it is gone: this is the fault
                queue.put_nowait(message)
    finally:
        worker.cancel()


async def work(websocket: WebSocket, queue: asyncio.Queue[str]) -> None:
    while True:
        message = await queue.get()
        await asyncio.sleep(WORK_S)
        await websocket.send_text(message)


if __name__ == "__main__":
    serve(app)
