"""A handler that computes.

Broken: it stands for scaling a picture, checking a password, or a large template. The event loop computes and does
nothing else meanwhile.
Signature: a lone message takes long, a ping on *another* connection waits with it, and one core is busy.
Cure: a process pool, or a thread for code that releases the interpreter's lock; more worker processes.
Knob: CPU_MS, how much CPU time a message takes.
"""

from __future__ import annotations

import time

from fastapi import FastAPI, WebSocket

from examples.broken.serving import number, serve

CPU_S = number("CPU_MS", 20) / 1000

app = FastAPI()


@app.websocket("/ws")
async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    async for message in websocket.iter_text():
        compute()
        await websocket.send_text(message)


def compute() -> None:
    """Compute for `CPU_S` seconds of this thread's CPU time."""
    end = time.thread_time() + CPU_S
    while time.thread_time() < end:
        pass


if __name__ == "__main__":
    serve(app)
