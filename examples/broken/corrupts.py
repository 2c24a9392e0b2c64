"""Messages that come back changed.

Broken: a column of the database holds so many characters and cuts off the rest without a word.
Signature: messages arrive whose content is not what was sent. TCP has checksums, so a program did it; here only to
those above a length.
Cure: make the column larger, and let the database refuse what does not fit.
Knob: COLUMN, how many characters it holds; 0 for any number.
"""

from __future__ import annotations

from fastapi import FastAPI, WebSocket

from examples.broken.serving import number, serve

COLUMN = int(number("COLUMN", 50_000))

app = FastAPI()


@app.websocket("/ws")
async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    async for message in websocket.iter_text():
        await websocket.send_text(message[: COLUMN or None])  # this is the fault


if __name__ == "__main__":
    serve(app)
