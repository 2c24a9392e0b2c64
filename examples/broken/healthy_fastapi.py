"""A sound server with FastAPI: whatever one client sends, all get."""

from __future__ import annotations

from fastapi import FastAPI, WebSocket

from examples.broken.serving import serve

app = FastAPI()
clients: set[WebSocket] = set()


@app.websocket("/ws")
async def broadcast(websocket: WebSocket) -> None:
    await websocket.accept()
    clients.add(websocket)
    try:
        async for message in websocket.iter_text():
            for client in list(clients):
                await client.send_text(message)
    finally:
        clients.discard(websocket)


if __name__ == "__main__":
    serve(app)
