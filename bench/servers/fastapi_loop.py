"""FastAPI as its documentation shows it: a loop of `await send_text` over the connected clients, on uvicorn."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Annotated

from fastapi import Depends, FastAPI, Query, WebSocket, WebSocketDisconnect

from bench.servers.serving import ROOM_NAME_BYTES, Options, run_uvicorn, start

options: Options
app = FastAPI()
clients: list[WebSocket] = []
rooms: defaultdict[str, list[WebSocket]] = defaultdict(list)


async def current_user(token: Annotated[str, Query()] = "somebody") -> str:
    """Stand for the dependency that says who is connected."""
    return token


async def push(members: list[WebSocket], text: str) -> None:
    """Send to all, as the ConnectionManager of the documentation does."""
    for member in list(members):
        await member.send_text(text)


@app.websocket("/fanout")
async def fanout(websocket: WebSocket) -> None:
    """Send every message to everybody."""
    await websocket.accept()
    clients.append(websocket)
    try:
        while True:
            await push(clients, await websocket.receive_text())
    except WebSocketDisconnect:
        clients.remove(websocket)


@app.websocket("/reply")
async def reply(websocket: WebSocket) -> None:
    """Send every message to everybody, and `ok` to its sender."""
    await websocket.accept()
    clients.append(websocket)
    try:
        while True:
            await push(clients, await websocket.receive_text())
            await websocket.send_text("ok")
    except WebSocketDisconnect:
        clients.remove(websocket)


@app.websocket("/rooms")
async def many_rooms(websocket: WebSocket, rooms_: Annotated[str, Query(alias="rooms")]) -> None:
    """Send every message to its room."""
    await websocket.accept()
    names = rooms_.split(",")
    for name in names:
        rooms[name].append(websocket)
    try:
        while True:
            text = await websocket.receive_text()
            await push(rooms[text[:ROOM_NAME_BYTES]], text)
    except WebSocketDisconnect:
        for name in names:
            rooms[name].remove(websocket)


@app.websocket("/echo")
async def echo(websocket: WebSocket) -> None:
    """Send every message back."""
    await websocket.accept()
    try:
        while True:
            await websocket.send_text(await websocket.receive_text())
    except WebSocketDisconnect:
        pass


@app.websocket("/idle")
async def idle(websocket: WebSocket, user: Annotated[str, Depends(current_user)]) -> None:
    """Wait for messages that do not come."""
    del user
    await websocket.accept()
    clients.append(websocket)
    try:
        while True:
            await websocket.receive_text()
    except WebSocketDisconnect:
        clients.remove(websocket)


@app.websocket("/images")
async def images(websocket: WebSocket) -> None:
    """Take a while for every image."""
    await websocket.accept()
    try:
        while True:
            image = await websocket.receive_bytes()
            await asyncio.sleep(options.handler_s)
            await websocket.send_text(f"{len(image)} {image[:64].decode()}")
    except WebSocketDisconnect:
        pass


if __name__ == "__main__":
    options = start()
    run_uvicorn(app, options)
