"""A keepalive that is shorter than the work of the handler.

Broken: while the handler works the server stops reading, which is right, as TCP then holds the sender back. The pong
to the server's own ping waits behind those unread messages, and keepalive takes an honest client for a dead one.
Signature: connections under load are closed with 1011, those without load live.
Cure: a longer keepalive than a handler may take, or none (`ws_ping_interval=None`) with another sign of life.
Knobs: PING_MS, interval and time-out of the keepalive; WORK_MS, what a message takes.
"""

from __future__ import annotations

import asyncio

from fastapi import FastAPI, WebSocket

from examples.broken.serving import number, serve

WORK_S = number("WORK_MS", 400) / 1000
PING_S = number("PING_MS", 400) / 1000

app = FastAPI()


@app.websocket("/ws")
async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    async for message in websocket.iter_text():
        await asyncio.sleep(WORK_S)
        await websocket.send_text(message)


if __name__ == "__main__":
    serve(app, ping_interval_s=PING_S, ping_timeout_s=PING_S)
