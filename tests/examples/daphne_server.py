"""Daphne on a port of the system's choice, which it says as uvicorn does."""

from __future__ import annotations

import sys
from importlib import import_module

from daphne.server import Server
from twisted.internet import reactor


def main() -> None:
    """Serve until it is told to stop."""
    module, name = sys.argv[1].split(":")
    application = getattr(import_module(module), name)
    server = Server(
        application,
        endpoints=["tcp:port=0:interface=127.0.0.1"],
        ready_callable=lambda: None,
        signal_handlers=True,
    )

    def say() -> None:
        [port] = server.listening_addresses
        sys.stdout.write(f"Daphne on http://127.0.0.1:{port[1]}\n")
        sys.stdout.flush()

    reactor.callLater(0.2, say)
    server.run()


if __name__ == "__main__":
    main()
