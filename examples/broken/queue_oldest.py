"""A queue that drops the oldest message when it is full, and tells nobody.

Broken: `deque(maxlen=…)` forgets what has waited longest. That may be right for prices, where only the newest counts;
it is wrong for messages, and nobody is told.
Signature: connections stay open and messages are missing; of a burst the last ones always come.
Cure: hold the sender back, or tell the client what was dropped.
Knobs: QUEUE, how many messages it holds; WORK_MS, what the worker takes for one.
"""

from __future__ import annotations

import asyncio
from collections import deque

from fastapi import FastAPI, WebSocket

from examples.broken.serving import number, serve

QUEUE = int(number("QUEUE", 50))
WORK_S = number("WORK_MS", 2) / 1000

app = FastAPI()


@app.websocket("/ws")
async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    waiting: deque[str] = deque(maxlen=QUEUE)  # this is the fault
    filled = asyncio.Event()
    worker = asyncio.create_task(work(websocket, waiting, filled))
    try:
        async for message in websocket.iter_text():
            waiting.append(message)
            filled.set()
    finally:
        worker.cancel()


async def work(websocket: WebSocket, waiting: deque[str], filled: asyncio.Event) -> None:
    while True:
        await filled.wait()
        filled.clear()
        while waiting:
            message = waiting.popleft()
            await asyncio.sleep(WORK_S)
            await websocket.send_text(message)


if __name__ == "__main__":
    serve(app)
