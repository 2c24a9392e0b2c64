"""What every measured server shares: its arguments, and a thread that answers questions from the harness.

The thread waits in `read` on standard input and costs nothing until it is asked.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import signal
import ssl
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import uvloop

__all__ = ("ROOM_NAME_BYTES", "Options", "run_loop", "run_uvicorn", "start")

ROOM_NAME_BYTES = 4
"""In the program `rooms` a message begins with the name of its room."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a server is to run.

    Attributes:
        program: What it does with messages; see `bench.programs`.
        port: Where it listens, on 127.0.0.1.
        certificate: Path of a certificate with its key, for TLS; or None.
        handler_s: How long the handler of the program `images` takes.
        redis: URL of the server that the nodes of the program `nodes` share; or empty.
    """

    program: str
    port: int
    certificate: str | None
    handler_s: float
    redis: str

    @property
    def tls(self) -> ssl.SSLContext | None:
        """The context of a server with this certificate."""
        if self.certificate is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate)
        return context


def start() -> Options:
    """Read the arguments and begin to answer questions."""
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--certificate")
    parser.add_argument("--handler-s", type=float, default=0.0)
    parser.add_argument("--redis", default="")
    args = parser.parse_args()
    threading.Thread(target=_answer, daemon=True).start()
    return Options(args.program, args.port, args.certificate, args.handler_s, args.redis)


def _answer() -> None:
    for question in sys.stdin:
        if question.strip() == "gc":
            answer = _time_collections()
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()
    # The harness has gone, however it went.
    os.kill(os.getpid(), signal.SIGTERM)


def _time_collections() -> dict[str, float]:
    """Time a full collection: the best of three, after one that finds what is garbage."""
    gc.collect()
    times = []
    for _ in range(3):
        began = time.perf_counter()
        gc.collect()
        times.append(time.perf_counter() - began)
    return {"collection_s": min(times), "objects": len(gc.get_objects())}


def run_uvicorn(app: object, options: Options, *, ws: str = "websockets-sansio") -> None:
    """Serve an ASGI application on uvicorn with its usual settings, logs apart."""
    import uvicorn  # noqa: PLC0415 -- servers that do not need it must not load it

    uvicorn.run(
        app,  # type: ignore[arg-type] # frameworks type their applications in their own ways
        host="127.0.0.1",
        port=options.port,
        ws=ws,
        loop="uvloop",
        http="httptools",
        log_level="error",
        access_log=False,
        backlog=4096,
        ssl_certfile=options.certificate,
    )


def run_loop(serve: Callable[[], Awaitable[object]]) -> None:
    """Run a server that is no ASGI application, on uvloop, until it is told to end."""

    async def main() -> None:
        ended = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
        server = await serve()
        await ended.wait()
        del server

    uvloop.run(main())
