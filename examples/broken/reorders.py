"""Messages of one client that are answered in another order.

Broken: each message is handled in a task of its own, and some take longer than others.
Signature: a message comes after a later one of the same sender. TCP cannot do that, only a program.
Cure: one task for each connection, or numbers by which the receiver sorts.
Knob: SPREAD_MS, by how much the handling times differ; 0 for not at all.
"""

from __future__ import annotations

import asyncio

from fastapi import FastAPI, WebSocket

from examples.broken.serving import number, serve

SPREAD_S = number("SPREAD_MS", 2) / 1000

app = FastAPI()


@app.websocket("/ws")
async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    tasks: set[asyncio.Task[None]] = set()
    count = 0
    async for message in websocket.iter_text():
        count += 1
        # Every third is quick, and overtakes those before it.
        pause_s = 0.0 if count % 3 == 0 else SPREAD_S
        task = asyncio.create_task(answer(websocket, message, pause_s))  # this is the fault
        tasks.add(task)
        task.add_done_callback(tasks.discard)


async def answer(websocket: WebSocket, message: str, pause_s: float) -> None:
    if pause_s:
        await asyncio.sleep(pause_s)
    await websocket.send_text(message)


if __name__ == "__main__":
    serve(app)
