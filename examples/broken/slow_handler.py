"""A handler that awaits something slow.

Broken: each message waits for an answer of something else, one after the other. Nothing is lost: the handler reads
no more, the window of its connection closes, and TCP holds the sender back.
Signature: a lone message takes long, and a ping on another connection is as quick as ever.
Cure: make what is awaited quicker, work on several messages at a time where order does not matter, or accept the
pace and tell the sender of it.
Knob: SLOW_MS, how long it waits.
"""

from __future__ import annotations

import asyncio

from fastapi import FastAPI, WebSocket

from examples.broken.serving import number, serve

SLOW_S = number("SLOW_MS", 25) / 1000

app = FastAPI()


@app.websocket("/ws")
async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    async for message in websocket.iter_text():
        await asyncio.sleep(SLOW_S)
        await websocket.send_text(message)


if __name__ == "__main__":
    serve(app)
