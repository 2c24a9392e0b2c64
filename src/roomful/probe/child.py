"""A server that the probe starts itself, so that it can see inside; and stops, itself and its children alone.

Its output goes to a file of its own: the end of it is evidence. So is the most memory that it ever had, as the kernel
tells it whoever waits for its end: a process that outgrows a limit may do so between two looks at it. `launcher` is
who waits.
"""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import psutil

from roomful.probe import launcher
from roomful.probe.errors import Unreachable, UsageError
from roomful.probe.target import Target

__all__ = ("Child",)

_LOG_BYTES: Final = 16_384
_STOP_S: Final = 5.0
_CONNECT_S: Final = 2.0
# getrusage(2): kibibytes, on macOS bytes.
_MAXRSS_BYTES: Final = 1 if sys.platform == "darwin" else 1024
# A server may start one of its own before it listens itself; no WebSocket is there.
_STORES: Final = ("redis-server", "valkey-server", "postgres")


@dataclass(frozen=True, slots=True)
class _Launched:
    """A command that was started: its process id, who waits for it, and the pipe on which that tells of its end."""

    pid: int
    waiter: subprocess.Popen[bytes]
    pipe: BinaryIO


class Child:
    """A command that runs in a session and a process group of its own.

    Use `start`; whoever starts one calls `stop`.
    """

    def __init__(self, launched: _Launched, log: str, command: Sequence[str]) -> None:
        self._launched = launched
        self._exit_code: int | None = None
        self._log = log
        self._command = tuple(command)
        self._ended_by_us = False
        self._stopped = False
        self._tail: str | None = None
        self._ended = asyncio.Event()
        self._peak_bytes: int | None = None
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._reap, name="roomful-probe-child", daemon=True).start()

    @classmethod
    async def start(cls, command: Sequence[str], environment: Mapping[str, str] | None = None) -> Child:
        """Start a command, with variables added to our own environment.

        Raises:
            UsageError: there is no such command.
        """
        descriptor, log = tempfile.mkstemp(prefix="roomful-probe-", suffix=".log")
        variables = {**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})}
        starting = asyncio.get_running_loop().run_in_executor(None, _launch, command, descriptor, variables)
        try:
            launched = await asyncio.shield(starting)
        except asyncio.CancelledError:
            # The thread goes on, with the descriptor; what it starts would be nobody's.
            with suppress(OSError):
                await cls(await starting, log, command).stop()
            await asyncio.to_thread(Path(log).unlink, missing_ok=True)
            raise
        except OSError as error:
            await asyncio.to_thread(Path(log).unlink)
            raise UsageError(f"{command[0]!r} cannot be started: {error.strerror}") from error
        finally:
            os.close(descriptor)
        return cls(launched, log, command)

    @property
    def pid(self) -> int:
        """Of the command itself."""
        return self._launched.pid

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
                async with asyncio.timeout(_CONNECT_S):
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
        """Return the command, how it ended if it has, its memory at the most then, and the end of its output."""
        return {
            "command": list(self._command),
            "pid": self.pid,
            "exit_code": self._exit_code,
            "stopped_by_probe": self._ended_by_us,
            "peak_rss_bytes": self._peak_bytes,
            "log_tail": self._tail if self._tail is not None else self._read_tail(),
        }

    async def ended(self, *, timeout_s: float) -> bool:
        """Wait until the command has ended by itself; return whether it has."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._ended.wait()
        except TimeoutError:
            return False
        return True

    async def stop(self) -> None:
        """Stop the command and what it started: politely, then not. The second time nothing happens."""
        if self._stopped:
            return
        self._stopped = True
        self._tail = self._read_tail()
        if self._exit_code is None:
            self._ended_by_us = True
            self._signal(signal.SIGTERM)
            await self.ended(timeout_s=_STOP_S)
        # Its process group is its own, so this reaches workers that outlived it and nobody else.
        self._signal(signal.SIGKILL)
        await self._ended.wait()
        with suppress(OSError):
            await asyncio.to_thread(Path(self._log).unlink)

    def _reap(self) -> None:
        """Wait for the end, in a thread of its own."""
        with self._launched.pipe as pipe:
            words = pipe.readline().split()
        if not words:
            # Somebody killed who waits for it. Nobody would see its end any more, so it is now.
            self._ended_by_us = True
            self._signal(signal.SIGKILL)
        self._launched.waiter.wait()
        status, peak = map(int, words) if words else (signal.SIGKILL, 0)
        self._loop.call_soon_threadsafe(self._note_end, status, peak * _MAXRSS_BYTES)

    def _note_end(self, status: int, peak_bytes: int) -> None:
        self._exit_code = os.waitstatus_to_exitcode(status)
        self._peak_bytes = peak_bytes or None
        self._ended.set()

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def _check_alive(self) -> None:
        if self._exit_code is not None:
            code = self._exit_code
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


def _launch(command: Sequence[str], log: int, environment: Mapping[str, str]) -> _Launched:
    """Start a command; raises OSError if that cannot be done."""
    reading, writing = os.pipe()
    pipe = os.fdopen(reading, "rb")
    try:
        waiter = subprocess.Popen(  # noqa: S603  # what the user asks for
            # Without site: it is to be small.
            [sys.executable, "-s", "-S", "-P", launcher.__file__, str(writing), *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            start_new_session=True,
            pass_fds=(writing,),
        )
    except BaseException:
        pipe.close()
        raise
    finally:
        os.close(writing)
    line = pipe.readline()
    pid = int(line or 0)
    if pid <= 0:
        pipe.close()
        code = waiter.wait()
        if not line:
            raise OSError(
                errno.ECHILD, f"{sys.executable}, which was to start it, ended with exit code {code}"
            )
        raise OSError(-pid, os.strerror(-pid))
    return _Launched(pid, waiter, pipe)


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
