"""A server as a process of its own, on one core: started, asked, measured from outside, and stopped by its id."""

from __future__ import annotations

import asyncio
import contextlib
import json
import mmap
import os
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.native import build_counter

__all__ = ("Server", "Usage", "free_port", "memory_of")

_START_S = 30.0
_STOP_S = 5.0
_COUNTERS = 3


@dataclass(frozen=True, slots=True)
class Usage:
    """What a server has used since it began.

    Attributes:
        cpu_s: Time on its core, in user and system mode, of all its threads.
        writes: System calls that write to files and sockets; None where they cannot be counted.
        reads: Those that read.
        waits: Those that wait for sockets.
    """

    cpu_s: float
    writes: int | None
    reads: int | None
    waits: int | None


class Server:
    """One server process.

    Args:
        command: What to run; `--port` and its number are added.
        core: The core that it is kept on.
        folder: The repository, where it runs.
        answers: Whether it answers questions.
        tls: Whether it speaks TLS.
    """

    def __init__(
        self, command: Sequence[str], *, core: int, folder: Path, answers: bool = True, tls: bool = False
    ) -> None:
        self._command = list(command)
        self._core = core
        self._folder = folder
        self.port = 0
        self.tls = tls
        self.answers = answers
        self._process: subprocess.Popen[str] | None = None
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 -- it lives as long as the server
        self._said = ""
        self._counts: mmap.mmap | None = None
        self._counts_path: str | None = None

    @property
    def ports(self) -> tuple[int, ...]:
        """Where it listens; its members are spread over all of them."""
        return (self.port,)

    @property
    def pid(self) -> int:
        """The id of its process."""
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Start it, and wait until it listens.

        Raises:
            RuntimeError: It ended, or does not listen in time; the text has what it said.
        """
        self.port = free_port()
        self._process = subprocess.Popen(  # noqa: ASYNC220 -- nothing else runs while a server starts
            [*self._command, "--port", str(self.port)],
            cwd=self._folder,
            env=self._environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        os.sched_setaffinity(self._process.pid, {self._core})
        deadline = time.monotonic() + _START_S
        while not _listens(self.port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"server did not start: {self.errors()[-600:].strip()}")
            await asyncio.sleep(0.02)

    def stop(self) -> None:
        """Stop it, by force if it does not end in time. A second call does nothing."""
        if self._counts_path is not None:
            Path(self._counts_path).unlink(missing_ok=True)
        if self._counts is not None:
            self._counts.close()
            self._counts = None
        self._end_process()
        self._said = self.errors()
        self._errors.close()

    def _end_process(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    @property
    def is_running(self) -> bool:
        """Whether it lives."""
        return self._process is not None and self._process.poll() is None

    def errors(self) -> str:
        """Return what it wrote to standard error."""
        if self._errors.closed:
            return self._said
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace")

    async def ask(self, question: str) -> dict[str, float]:
        """Ask what `bench.servers.serving` answers."""
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(question + "\n")
        process.stdin.flush()
        answer: dict[str, float] = json.loads(await asyncio.to_thread(process.stdout.readline))
        return answer

    def usage(self) -> Usage:
        """Return what it has used until now."""
        counts: list[int | None] = [None] * _COUNTERS
        if self._counts is not None:
            words = struct.unpack(f"{_COUNTERS}Q", self._counts[:])
            # All zero: the program could not load the counter.
            counts = list(words) if any(words) else counts
        return Usage(cpu_of(self.pid), *counts)

    async def settle(self, *, timeout_s: float = 10.0) -> None:
        """Wait until it has nothing to do: less than 3 % of its core over a twentieth of a second."""
        deadline = time.monotonic() + timeout_s
        before = cpu_of(self.pid)
        while time.monotonic() < deadline:
            await asyncio.sleep(0.05)
            now = cpu_of(self.pid)
            if now - before < 0.0015:
                return
            before = now

    def _environment(self) -> dict[str, str]:
        environment = {**os.environ, "PYTHONPATH": self._python_path(), "PYTHONUNBUFFERED": "1"}
        counter = build_counter()
        if counter is not None:
            descriptor, path = tempfile.mkstemp(prefix="bench-counts-")
            os.write(descriptor, bytes(8 * _COUNTERS))
            self._counts = mmap.mmap(descriptor, 8 * _COUNTERS)
            os.close(descriptor)
            self._counts_path = path
            environment |= {"LD_PRELOAD": str(counter), "BENCH_COUNTS": path}
        return environment

    def _python_path(self) -> str:
        return os.pathsep.join(filter(None, [str(self._folder), os.environ.get("PYTHONPATH", "")]))


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def cpu_of(pid: int) -> float:
    """Return the seconds that a process has run, of all its threads that live.

    From `schedstat`, exact to the nanosecond; from `stat` in ticks of 10 ms where the kernel has no `schedstat`.
    """
    total = 0
    try:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError):
                total += int((thread / "schedstat").read_text().split(maxsplit=1)[0])
    except FileNotFoundError:
        return 0.0
    if total:
        return total / 1e9
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_of(pid: int) -> dict[str, int]:
    """Return what a process holds, in bytes: `own` (shared with nobody), `resident`, and `peak` of the latter."""
    found = {}
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name in ("VmRSS", "VmHWM"):
            found[{"VmRSS": "resident", "VmHWM": "peak"}[name]] = int(value.split()[0]) * 1024
    own = 0
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Private_"):
            own += int(line.split()[1]) * 1024
    found["own"] = own
    return found
