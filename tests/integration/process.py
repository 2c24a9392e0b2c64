"""A server process, with what can be seen of it from outside."""

import asyncio
import json
import os
import re
import signal
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

__all__ = ("ServerProcess",)

ROOT: Final = Path(__file__).parents[2]


class ServerProcess:
    """Runs `served` with one of the servers, on one of the event loops; entered with `async with`."""

    def __init__(self, name: str, loop: str) -> None:
        self._arguments = (name, loop)
        self.port = 0

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.integration.served",
            *self._arguments,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"server did not start: {(await self._process.communicate())[1].decode()}")
        self.port = int(line)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(10):
                _, log = await self._process.communicate()
        finally:
            if self._process.returncode is None:
                self._process.kill()
                await self._process.wait()
        if error is None:
            # uvicorn raises the signal again once it has stopped.
            assert self._process.returncode in (0, -signal.SIGTERM), log.decode()
            assert b"Traceback" not in log, log.decode()
        else:
            error.add_note(f"the server's log: {log.decode()[-4000:]}")

    async def ask(self, path: str) -> Any:
        """Ask over HTTP."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            answer = await reader.read()
        finally:
            writer.close()
            await writer.wait_closed()
        head, _, content = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), answer
        return json.loads(content)

    async def facts(self, **wanted: object) -> dict[str, Any]:
        """Return what the server holds, once it is as wanted.

        Raises:
            AssertionError: It does not come so far within twenty seconds.
        """
        now: dict[str, Any] = {}
        try:
            async with asyncio.timeout(20):
                while True:
                    now = await self.ask("/facts")
                    if all(now[name] == value for name, value in wanted.items()):
                        return now
        except TimeoutError:
            raise AssertionError(f"server holds {now}; expected {wanted}") from None

    def peak_kb(self) -> int:
        """Return the most memory that the process had since `forget_peak`."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1])

    def forget_peak(self) -> None:
        """Let the peak be what the process has now (`man 5 proc`, clear_refs)."""
        Path(f"/proc/{self._process.pid}/clear_refs").write_text("5")
