"""A blocking call in the handler.

Broken: `time.sleep` stands for any call that waits without `await`: a driver of a database, `requests`, a file.
While it waits the event loop waits, and with it every other connection.
Signature: a lone message takes long, a ping on *another* connection waits with it, and the CPU is idle.
Cure: an asynchronous library, or `await asyncio.to_thread(call)`.
Knob: BLOCK_MS, how long the call takes.
"""

from __future__ import annotations

import time

from fastapi import FastAPI, WebSocket

from examples.broken.serving import number, serve

BLOCK_S = number("BLOCK_MS", 20) / 1000

app = FastAPI()


@app.websocket("/ws")
async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    async for message in websocket.iter_text():
        time.sleep(BLOCK_S)  # noqa: ASYNC251  # this is the fault
        await websocket.send_text(message)


if __name__ == "__main__":
    serve(app)
