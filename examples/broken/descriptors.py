"""Too few file descriptors for the clients.

Broken: each connection needs a descriptor, and the process may have only a few. The usual limit is 1,024.
Signature: up to a number connections open at once, further ones do not open at all; the process has as many
descriptors as its limit (`/proc/PID/limits`), and the log says `Too many open files`.
Cure: `ulimit -n 65536`, `LimitNOFILE=` of systemd, or fewer connections.
Knob: FILES, how many descriptors it may have.
"""

from __future__ import annotations

import resource

from fastapi import FastAPI, WebSocket

from examples.broken.serving import number, serve

app = FastAPI()


@app.websocket("/ws")
async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    async for message in websocket.iter_text():
        await websocket.send_text(message)


if __name__ == "__main__":
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (int(number("FILES", 64)), hard))
    serve(app)
