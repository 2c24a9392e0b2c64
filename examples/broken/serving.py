"""What all of these servers share: they read numbers from the environment, and listen on a free port.

Nothing here is broken.
"""

from __future__ import annotations

import os

import uvicorn
from fastapi import FastAPI

__all__ = ("HOST", "PORT", "number", "serve")

HOST = "127.0.0.1"
# 0 is any free one; the probe finds out which.
PORT = int(os.environ.get("PORT", "0"))


def number(name: str, default: float) -> float:
    """Return a knob: an environment variable that holds a number."""
    return float(os.environ.get(name, default))


def serve(
    app: FastAPI,
    *,
    host: str = HOST,
    port: int = PORT,
    backlog: int = 2048,
    max_size: int = 16 << 20,
    ping_interval_s: float = 20.0,
    ping_timeout_s: float = 20.0,
) -> None:
    """Serve until stopped; the defaults are uvicorn's own."""
    uvicorn.run(
        app,
        host=host,
        port=port,
        log_level="warning",
        backlog=backlog,
        ws_max_size=max_size,
        ws_ping_interval=ping_interval_s,
        ws_ping_timeout=ping_timeout_s,
    )
