"""Memory that grows with every message until a limit ends the process.

Broken: every message is kept, for a history that nobody empties. A watcher ends the process as a container's limit
does: with SIGKILL, without a word in the log.
Signature: memory grows with the bytes that were received and never comes back; then all connections break at once
(1006) and the process is gone, killed by signal 9.
Cure: bound what is kept, in number and bytes; find what holds it with `tracemalloc`.
Knob: MEMORY_MB, by how much it may grow.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

from fastapi import FastAPI, WebSocket

from examples.broken.serving import number, serve

MEMORY_BYTES = int(number("MEMORY_MB", 150)) << 20
PAGE = os.sysconf("SC_PAGE_SIZE")

app = FastAPI()
history: list[str] = []


@app.websocket("/ws")
async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    async for message in websocket.iter_text():
        history.append(message)  # this is the fault
        await websocket.send_text(message)


def resident() -> int:
    """Return how many bytes of memory this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def limit() -> None:
    """End the process when it has grown too far, as the kernel does to a container."""
    first = resident()
    while resident() < first + MEMORY_BYTES:
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    threading.Thread(target=limit, daemon=True).start()
    serve(app)
