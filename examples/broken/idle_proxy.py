"""A proxy that cuts connections over which nothing has come for a while.

Broken: the server is sound, and a proxy in front of it closes what is idle, as nginx does after 60 seconds
(`proxy_read_timeout`) and load balancers after 60 to 350.
Signature: connections that say nothing end after the same time each, without a close frame (1006); those with a
ping now and then live.
Cure: pings more often than the proxy's limit, in the server (`--ws-ping-interval`) or the client; or a longer limit.
Knob: IDLE_MS, how long the proxy waits.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import uvicorn
from fastapi import FastAPI, WebSocket

from examples.broken.serving import HOST, PORT, number

IDLE_S = number("IDLE_MS", 2000) / 1000

app = FastAPI()


@app.websocket("/ws")
async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    async for message in websocket.iter_text():
        await websocket.send_text(message)


class Proxy:
    """Pass bytes on in both directions, until nothing has passed for `IDLE_S`."""

    def __init__(self, path: str) -> None:
        self.path = path

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        up_reader, up_writer = await asyncio.open_unix_connection(self.path)
        idle = Idle()
        tasks = {
            asyncio.create_task(self.pass_on(reader, up_writer, idle)),
            asyncio.create_task(self.pass_on(up_reader, writer, idle)),
            asyncio.create_task(idle.over()),
        }
        _, left = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in left:
            task.cancel()
        writer.close()
        up_writer.close()

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, idle: Idle) -> None:
        """Pass on what comes, no faster than it is taken."""
        try:
            while data := await reader.read(65536):
                idle.touch()
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass  # either end may break; both are closed then


class Idle:
    """Know how long nothing has passed."""

    def __init__(self) -> None:
        self.at = asyncio.get_running_loop().time()

    def touch(self) -> None:
        """Something has passed."""
        self.at = asyncio.get_running_loop().time()

    async def over(self) -> None:
        """Wait until nothing has passed for `IDLE_S`."""
        # Not a wait for an event but for its absence.
        while (left := self.at + IDLE_S - asyncio.get_running_loop().time()) > 0:  # noqa: ASYNC110  # see above
            await asyncio.sleep(left)


async def main() -> None:
    """Serve on a socket that only the proxy knows, and the proxy on a port."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "app")
        server = uvicorn.Server(uvicorn.Config(app, uds=path, log_level="warning"))
        serving = asyncio.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110  # uvicorn has no event for it
            await asyncio.sleep(0.01)
        async with await asyncio.start_server(Proxy(path).connected, HOST, PORT, backlog=2048):
            await serving


if __name__ == "__main__":
    asyncio.run(main())
