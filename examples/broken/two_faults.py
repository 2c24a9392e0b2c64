"""Two faults at once: a blocking call, and a size limit that is too low.

Broken: see `blocking_call` and `size_limit`. Each has its own signature, and neither hides the other.
Cure: both.
Knobs: BLOCK_MS, MAX_SIZE.
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
        time.sleep(BLOCK_S)  # noqa: ASYNC251  # this is one of the faults
        await websocket.send_text(message)


if __name__ == "__main__":
    serve(app, max_size=int(number("MAX_SIZE", 65536)))
