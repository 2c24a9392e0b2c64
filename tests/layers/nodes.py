"""A node: a process of `roomful serve` on a layer, and clients of it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

from websockets.sync.client import ClientConnection, connect

__all__ = ("LEASE_S", "Node", "Visitor")

ROOT: Final = Path(__file__).parents[2]

LEASE_S: Final = 2.0
"""Of the nodes that show who is present."""


class Node:
    """One process of `roomful serve tests.layers.node_app:app`, entered with `with`."""

    def __init__(self, *options: str, app: str = "tests.layers.node_app:app") -> None:
        self._command = [sys.executable, "-m", "roomful", "serve", app, "--port", "0", *options]
        self.log = ""
        self.port = 0

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stderr is not None
        while not ("startup complete" in self.log and "running on" in self.log):
            line = self._process.stderr.readline()
            assert line, f"node did not start: {self.log}"
            self.log += line
        found = re.search(r"running on https?://[^:]+:(\d+)", self.log)
        assert found is not None
        self.port = int(found[1])
        self._reading = threading.Thread(target=self._read)
        self._reading.start()
        return self

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.log += line

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def stop(self) -> None:
        """Tell it to end, and wait until it has."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(20)

    def kill(self) -> None:
        """End it as a power failure would."""
        self._process.kill()
        self._process.wait()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise
        finally:
            self._reading.join()
            assert self._process.stderr is not None
            self._process.stderr.close()

    def visit(self, room: str, **resume: str) -> Visitor:
        """Return a client that is in a room."""
        query = f"?resume={quote(json.dumps(resume))}" if resume else ""
        until = time.monotonic() + 15
        while True:
            try:
                socket = connect(f"ws://127.0.0.1:{self.port}/ws/{room}{query}", open_timeout=10).__enter__()
                return Visitor(socket)
            except ConnectionRefusedError:  # a worker says that it has started a moment before it listens
                if time.monotonic() > until:
                    raise
                time.sleep(0.01)


class Visitor:
    """A client; entered with `with`. `replayed` is what it got before it was a member, `joined` what that told."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.number = 0
        self.replayed: list[dict[str, Any]] = []
        while (message := self.get())["type"] != "roomful.joined":
            self.replayed.append(message)
        self.joined = message

    def get(self) -> dict[str, Any]:
        """Return the next message."""
        message: dict[str, Any] = json.loads(self.socket.recv(timeout=15))
        return message

    def take(self, type_: str) -> dict[str, Any]:
        """Return the next message of a type; others are dropped."""
        while (message := self.get()).get("type") != type_:
            pass
        return message

    def ask(self, type_: str, data: Any = None) -> Any:
        """Send a message and return the answer's data; events before it are dropped."""
        self.number += 1
        self.socket.send(json.dumps({"type": type_, "data": data, "id": self.number}))
        while (message := self.get()).get("reply") != self.number:
            pass
        if "error" in message:
            raise RuntimeError(message["error"])
        return message.get("data")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.socket.close()
