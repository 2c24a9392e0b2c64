"""An accept backlog that is too short for clients that come all at once.

Broken: each handshake asks something that takes a few milliseconds, and the kernel may keep only a few connections
waiting meanwhile. It ignores the others, and they try again after a second, as TCP does.
Signature: of many connections that are opened at once some take 1, 3 or 7 seconds, and each of them had to be asked
for again; one after the other they all open at once. The kernel counts `ListenOverflows`.
Cure: a longer backlog (`uvicorn --backlog 2048`; `net.core.somaxconn` bounds it), and quick handshakes.
Knobs: BACKLOG, its length; ACCEPT_MS, what a handshake takes.
"""

from __future__ import annotations

import time

from fastapi import FastAPI, WebSocket

from examples.broken.serving import number, serve

ACCEPT_S = number("ACCEPT_MS", 4) / 1000

app = FastAPI()


@app.websocket("/ws")
async def echo(websocket: WebSocket) -> None:
    time.sleep(ACCEPT_S)  # noqa: ASYNC251  # a check of a token that takes its time
    await websocket.accept()
    async for message in websocket.iter_text():
        await websocket.send_text(message)


if __name__ == "__main__":
    serve(app, backlog=int(number("BACKLOG", 2)))
