"""`roomful serve`: uvicorn with the settings that suit long-lived connections.

It has the options that most programs need; with others, run uvicorn itself and name the protocol class there.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from typing import TYPE_CHECKING

from ..assembly.layer_url import LAYER_VARIABLE, default_urls
from ..core.errors import LayerError
from .worker import application

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from ..layers.redis.embedded import EmbeddedServer

__all__ = ("add_parser", "run")

LOG_LEVELS = ("critical", "error", "warning", "info", "debug", "trace")


def add_parser(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser("serve", help="run an ASGI application", description=__doc__)
    parser.add_argument("app", help="the application as module:attribute, such as app:app")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument(
        "--port", type=_port, default=8000, help="port to listen on; 0 lets the system choose"
    )
    parser.add_argument(
        "--workers", type=_count, default=1, help="number of processes (default: %(default)s)"
    )
    parser.add_argument(
        "--layer",
        help="layer of hubs that name none, such as redis://localhost; several workers have a private one by default",
    )
    parser.add_argument("--log-level", choices=LOG_LEVELS, default="info", help="(default: %(default)s)")
    parser.add_argument(
        "--app-dir", default=".", help="directory to import the application from (default: here)"
    )
    parser.add_argument(
        "--factory", action="store_true", help="the attribute is a function that returns the application"
    )
    parser.add_argument("--reload", action="store_true", help="restart when a file changes, for development")
    parser.add_argument(
        "--ws-max-size",
        type=_count,
        default=16 * 1024 * 1024,
        help="largest message in bytes (default: %(default)s)",
    )
    parser.add_argument(
        "--timeout-graceful-shutdown",
        type=_count,
        metavar="SECONDS",
        help="when the server stops, how long requests and connections may take to end (default: no limit)",
    )
    parser.add_argument("--root-path", default="", help="path under which a proxy serves the application")
    parser.add_argument(
        "--forwarded-allow-ips", help="proxies whose X-Forwarded headers are trusted (default: 127.0.0.1)"
    )
    parser.add_argument("--ssl-certfile", help="certificate for TLS")
    parser.add_argument("--ssl-keyfile", help="its private key")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until stopped. Returns 0 after an orderly end, 1 when it cannot start."""
    if importlib.util.find_spec("uvicorn") is None:
        print("roomful serve needs uvicorn: pip install 'roomful[server]'", file=sys.stderr)
        return 1
    import uvicorn

    if args.workers > 1 and args.reload:
        print("roomful serve: --workers and --reload exclude each other", file=sys.stderr)
        return 2
    # Worker processes inherit these; the first tells a hub whether its layer reaches all of its rooms' members.
    os.environ["ROOMFUL_WORKERS"] = str(args.workers)
    os.environ["ROOMFUL_APP"] = args.app
    os.environ["ROOMFUL_FACTORY"] = "1" if args.factory else ""
    options = {
        name: getattr(args, name)
        for name in (
            "host", "port", "workers", "log_level", "app_dir", "reload", "ws_max_size",
            "timeout_graceful_shutdown", "root_path", "forwarded_allow_ips", "ssl_certfile", "ssl_keyfile",
        )
    }  # fmt: skip
    if args.layer:
        os.environ[LAYER_VARIABLE] = args.layer
    embedded: EmbeddedServer | None = None
    try:
        if args.workers > 1:
            embedded = _embedded()
            # What cannot work in a worker is found here once, instead of in each worker again and again.
            sys.path.insert(0, args.app_dir)
            application()
            if embedded is not None and embedded.url in default_urls:
                embedded.start()
        uvicorn.run(
            "roomful.cli.worker:application",
            factory=True,
            ws="roomful.server:WebSocketProtocol",
            http="roomful.server.http:HttpProtocol",
            **options,
        )
    except LayerError as error:
        print(f"roomful serve: {error}", file=sys.stderr)
        return 1
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1
    finally:
        if embedded is not None:
            embedded.stop()
    return 0


def _embedded() -> EmbeddedServer | None:
    """Return the server that the workers share when no layer is named, not started; None where there is none."""
    if os.environ.get(LAYER_VARIABLE):
        return None
    try:
        from ..layers.redis.embedded import EmbeddedServer

        server = EmbeddedServer()
    except (ModuleNotFoundError, LayerError):
        return None  # a hub that needs it says so
    os.environ[LAYER_VARIABLE] = server.url
    return server


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"port is {text!r}; expected 0 to 65535")
    return int(text)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"number is {text!r}; expected 1 or more")
    return int(text)
