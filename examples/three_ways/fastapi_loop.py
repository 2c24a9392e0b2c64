"""Everybody gets what anybody sends, on FastAPI: a set of sockets, and a loop in every endpoint.

uvicorn examples.three_ways.fastapi_loop:app

It is what most articles show, so nothing is repaired: a set that changes while it is walked through, a reader that
holds up all others, and clients of another worker process that get nothing.
"""

# No `from __future__ import annotations`: FastAPI resolves the endpoints' annotations when they are declared.
from fastapi import FastAPI, WebSocket, WebSocketDisconnect

__all__ = ("app",)

app = FastAPI(title="A set and a loop")
connected_clients: set[WebSocket] = set()


@app.websocket("/ws")
async def texts(websocket: WebSocket) -> None:
    await websocket.accept()
    connected_clients.add(websocket)
    try:
        while True:
            data = await websocket.receive_text()
            for client in connected_clients:
                await client.send_text(f"Server received: {data}")
    except WebSocketDisconnect:
        connected_clients.remove(websocket)


@app.websocket("/images")
async def images(websocket: WebSocket) -> None:
    """The same for bytes: `receive_text` ends the connection of whoever sends an image as it is."""
    await websocket.accept()
    connected_clients.add(websocket)
    try:
        while True:
            image = await websocket.receive_bytes()
            for client in connected_clients:
                await client.send_bytes(image)
    except WebSocketDisconnect:
        connected_clients.remove(websocket)
