"""`python -m examples`: all examples on one server."""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import socket
import sys

import uvicorn

HOST = "127.0.0.1"


def main() -> int:
    """Serve until Ctrl-C; return the exit code."""
    options = argparse.ArgumentParser(
        prog="python -m examples", description="Serve all examples on one address."
    )
    options.add_argument(
        "--port",
        type=_port,
        default=os.environ.get("PORT", "8000"),
        help="a free port, or 0 for any (default: PORT of the environment, else 8000)",
    )
    port: int = options.parse_args().port
    try:
        listener = _listen(port)
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        reason = "another program listens there" if taken else (error.strerror or str(error)).lower()
        print(
            f"cannot listen on {HOST}:{port}: {reason}; choose another one: PORT=… or --port", file=sys.stderr
        )
        return 1

    address = f"http://{HOST}:{listener.getsockname()[1]}/"
    print(f"Roomful examples on {address} (Ctrl-C ends)", flush=True)
    config = uvicorn.Config(
        "examples.home.app:app",
        log_level="warning",
        ws="roomful.server:WebSocketProtocol",
        # A page that does not answer must not hold up the end.
        timeout_graceful_shutdown=2,
    )
    # After Ctrl-C it returns or raises, as it happens.
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listener])
    print("\nEnded.")
    return 0


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        if os.name == "posix":  # elsewhere the option lets two programs listen on one port
            # Without it the port of a server that has just ended counts as taken for a minute.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(2048)
    except OSError:
        listener.close()
        raise
    return listener


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; expected a number from 0 to 65535")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
