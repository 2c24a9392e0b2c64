"""A server that the probe starts itself, so that it can see inside; and stops, itself and its children alone.

Its output goes to a file of its own: the end of it is evidence.
"""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil

from roomful.probe.errors import Unreachable, UsageError
from roomful.probe.target import Target

__all__ = ("Child",)

_LOG_BYTES: Final = 16_384
_STOP_S: Final = 5.0
# A server may start one of its own before it listens itself; no WebSocket is there.
_STORES: Final = ("redis-server", "valkey-server", "postgres")


class Child:
    """A command that runs in its own session.

    Use `start`; whoever starts one calls `stop`.
    """

    def __init__(self, process: asyncio.subprocess.Process, log: str, command: Sequence[str]) -> None:
        self._process = process
        self._log = log
        self._command = tuple(command)
        self._began = time.monotonic()
        self._ended_by_us = False
        self._stopped = False
        self._tail: str | None = None

    @classmethod
    async def start(cls, command: Sequence[str], environment: Mapping[str, str] | None = None) -> Child:
        """Start a command, with variables added to our own environment.

        Raises:
            UsageError: there is no such command.
        """
        descriptor, log = tempfile.mkstemp(prefix="roomful-probe-", suffix=".log")
        variables = {**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})}
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                env=variables,
                start_new_session=True,
            )
        except OSError as error:
            await asyncio.to_thread(Path(log).unlink)
            raise UsageError(f"{command[0]!r} cannot be started: {error.strerror}") from error
        finally:
            os.close(descriptor)
        return cls(process, log, command)

    @property
    def pid(self) -> int:
        """Of the command itself."""
        return self._process.pid

    async def find_url(self, path: str, *, timeout_s: float) -> str:
        """Wait until the command, or a child of it, listens; return the URL of the first port.

        Raises:
            Unreachable: it ended, or did not listen in time.
        """
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            self._check_alive()
            ports = _listening(self.pid)
            if ports:
                host, port = ports[0]
                return f"ws://{host}:{port}/{path.lstrip('/')}"
            await asyncio.sleep(0.05)
        raise Unreachable(
            "timeout", f"{self._command[0]} does not listen after {timeout_s:g} s; {self._log_hint()}"
        )

    async def wait_listening(self, target: Target, *, timeout_s: float) -> None:
        """Wait until the target's port accepts connections.

        Raises:
            Unreachable: the command ended, or nothing listens there in time.
        """
        deadline = time.monotonic() + timeout_s
        uri = target.uri
        while True:
            self._check_alive()
            try:
                _, writer = await asyncio.open_connection(uri.host, uri.port)
            except OSError as error:
                if time.monotonic() > deadline:
                    text = f"{target.shown} does not listen after {timeout_s:g} s; {self._log_hint()}"
                    raise Unreachable("timeout", text) from error
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return

    def report(self) -> dict[str, object]:
        """Return the command, how it ended if it has, and the end of its output."""
        return {
            "command": list(self._command),
            "pid": self.pid,
            "exit_code": self._process.returncode,
            "stopped_by_probe": self._ended_by_us,
            "log_tail": self._tail if self._tail is not None else self._read_tail(),
        }

    async def stop(self) -> None:
        """Stop the command and what it started: politely, then not. The second time nothing happens."""
        if self._stopped:
            return
        self._stopped = True
        self._tail = self._read_tail()
        if self._process.returncode is None:
            self._ended_by_us = True
            self._signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(_STOP_S):
                    await self._process.wait()
            except TimeoutError:
                pass
        # Its session is its own, so this reaches workers that outlived it and nobody else.
        self._signal(signal.SIGKILL)
        await self._process.wait()
        with suppress(OSError):
            await asyncio.to_thread(Path(self._log).unlink)

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _check_alive(self) -> None:
        if self._process.returncode is not None:
            code = self._process.returncode
            raise Unreachable("closed", f"{self._command[0]} ended with exit code {code}; {self._log_hint()}")

    def _log_hint(self) -> str:
        lines = [line for line in self._read_tail().splitlines() if line.strip()]
        return f"its last line: {lines[-1][:200]}" if lines else "it wrote nothing"

    def _read_tail(self) -> str:
        try:
            with Path(self._log).open("rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - _LOG_BYTES))
                return file.read().decode(errors="replace")
        except OSError:
            return ""


def _listening(pid: int) -> list[tuple[str, int]]:
    """Return the addresses at which a process and its children listen, loopback ones for a wildcard."""
    found: list[tuple[str, int]] = []
    try:
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            if process.name() in _STORES:
                continue
            for each in process.net_connections("tcp"):
                if each.status == psutil.CONN_LISTEN:
                    # A wildcard is reached by the loopback.
                    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(each.laddr.ip, each.laddr.ip)  # noqa: S104  # a key
                    found.append((f"[{host}]" if ":" in host else host, each.laddr.port))
    except psutil.Error:
        pass
    return sorted(set(found), key=lambda address: (":" in address[0], address[1]))
