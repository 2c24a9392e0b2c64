"""The program whose buffers are in question: FastAPI, one endpoint, everybody gets every message.

It is what articles about FastAPI's WebSockets show, with a pause before it reads, so that its buffers fill.
`python -m roomful.probe.buffers.program PAUSE_S` serves on a free port of 127.0.0.1.
"""

# No `from __future__ import annotations`: FastAPI resolves the endpoint's annotations when it is declared.
import asyncio
import sys

__all__ = ("main",)


def main(pause_s: float) -> None:
    """Serve until stopped."""
    # Not among the probe's dependencies: only this experiment needs them, in a process of its own.
    import uvicorn  # noqa: PLC0415  # see above
    from fastapi import FastAPI, WebSocket, WebSocketDisconnect  # noqa: PLC0415  # see above

    app = FastAPI()
    connected_clients: set[WebSocket] = set()

    @app.websocket("/ws")
    async def websocket_endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        connected_clients.add(websocket)
        try:
            await asyncio.sleep(pause_s)
            while True:
                data = await websocket.receive_text()
                for client in connected_clients:
                    await client.send_text(f"Server received: {data}")
        except WebSocketDisconnect:
            connected_clients.remove(websocket)

    # Its keepalive is off, as it would close a connection whose pong waits behind unread data.
    uvicorn.run(app, host="127.0.0.1", port=0, log_level="warning", ws_ping_interval=None)


if __name__ == "__main__":
    main(float(sys.argv[1]))
