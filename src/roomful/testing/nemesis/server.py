"""The server that is tortured: a process that can be ended in both ways and started anew."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self

__all__ = ("Server", "ServerProcess")

_START_S: Final = 30.0
_LOOK_S: Final = 0.02
_ADDRESS: Final = re.compile(r"running on https?://[^\s:]+:(\d+)")


class Server(Protocol):
    """What a torture needs of a server."""

    @property
    def port(self) -> int:
        """Where it listens on this machine; another one after it was started anew, perhaps."""

    async def start(self) -> None:
        """Return once it takes connections."""

    async def kill(self) -> None:
        """End it at once."""

    async def stop(self) -> None:
        """Ask it to end, and return when it has."""


class ServerProcess:
    """A server of one's own, entered with `async with`.

    Args:
        command: What to start: `roomful serve …`, `uvicorn …`, or whatever else writes to its standard error where it
            is *running on* and that its *startup* is *complete*. Let it choose a port (`--port 0`).
        port: Where it will listen, for a server that does not write that: it has started once it takes a connection.
        cwd: The directory to start it in.
        env: Environment variables to add.
        stop_timeout_s: Time that it has to end after SIGTERM before it is killed, which `stop` tells as an error.

    Attributes:
        port: Where it listens.
        pid: Its process id.
        log: The last lines that it wrote.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        port: int | None = None,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stop_timeout_s: float = 30.0,
    ) -> None:
        self.port: int = port or 0
        self.pid: int = 0
        self.log: deque[str] = deque(maxlen=200)
        self._command = tuple(command)
        self._is_silent = port is not None
        self._cwd = cwd
        self._env = {**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})}
        self._stop_timeout_s = stop_timeout_s
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Return once it takes connections.

        Raises:
            ChildProcessError: It ended.
            TimeoutError: It did not come so far in half a minute.
        """
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            cwd=self._cwd,
            env=self._env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        self.pid = self._process.pid
        assert self._process.stderr is not None  # it is a pipe
        try:
            async with asyncio.timeout(_START_S):
                if self._is_silent:
                    self._reading = asyncio.ensure_future(self._read(self._process.stderr))
                    await self._taken()
                else:
                    await self._said(self._process.stderr)
                    self._reading = asyncio.ensure_future(self._read(self._process.stderr))
        except TimeoutError:
            await self.kill()
            raise TimeoutError(f"server did not start within {_START_S} s: {''.join(self.log)}") from None
        except BaseException:
            await self.kill()
            raise

    async def _said(self, stream: asyncio.StreamReader) -> None:
        """Read until it says that it has started, and where."""
        said = ""
        while not ("startup complete" in said and _ADDRESS.search(said)):
            line = (await stream.readline()).decode(errors="replace")
            if not line:
                raise ChildProcessError(f"server ended as it started: {said}")
            self.log.append(line)
            said += line
        address = _ADDRESS.search(said)
        assert address is not None  # the loop has found it
        self.port = int(address[1])

    async def _taken(self) -> None:
        """Try until it takes a connection."""
        assert self._process is not None  # it has been started
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                if self._process.returncode is not None:
                    raise ChildProcessError(f"server ended as it started: {''.join(self.log)}") from None
                await asyncio.sleep(_LOOK_S)
            else:
                writer.close()
                await writer.wait_closed()
                return

    async def _read(self, stream: asyncio.StreamReader) -> None:
        async for line in stream:
            self.log.append(line.decode(errors="replace"))

    async def kill(self) -> None:
        """End it at once (SIGKILL)."""
        await self._end(signal.SIGKILL, timeout_s=None)

    async def stop(self) -> None:
        """Ask it to end (SIGTERM), and return when it has.

        Raises:
            TimeoutError: It did not end in time and was killed.
        """
        await self._end(signal.SIGTERM, timeout_s=self._stop_timeout_s)

    async def _end(self, number: signal.Signals, timeout_s: float | None) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        late = False
        if process.returncode is None:
            process.send_signal(number)
            try:
                async with asyncio.timeout(timeout_s):
                    await process.wait()
            except TimeoutError:
                late = True
                process.kill()
                await process.wait()
        if self._reading is not None:
            await self._reading
        if late:
            raise TimeoutError(
                f"server did not end within {timeout_s} s of SIGTERM: {''.join(self.log)[-2000:]}"
            )

    def memory_kb(self, field: str = "VmHWM") -> int:
        """Return a field of Linux's `/proc/PID/status`: by default the most memory that it has had."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(rf"{field}:\s+(\d+) kB", status)
        if found is None:
            raise LookupError(f"{field} is no size in /proc/{self.pid}/status")
        return int(found[1])

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            await self.stop()
        else:
            await self.kill()
            error.add_note(f"the server's log ends so: {''.join(self.log)[-2000:]}")
