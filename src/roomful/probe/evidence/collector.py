"""Collect evidence beside the traffic: every sample with its time, every source that failed with the reason.

Files are read in a thread of its own, so that the generator keeps its schedule; sockets are asked in the loop.
What is seen is kept as it is: what it means is for whoever reads the result.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict

import psutil

from roomful.probe.connection import Connection
from roomful.probe.errors import Unreachable
from roomful.probe.evidence.processes import Cost, Memory, Processes
from roomful.probe.evidence.redis import RedisInfo
from roomful.probe.evidence.sources import (
    AcceptQueue,
    Cgroup,
    NetCounters,
    Pressure,
    SocketMemory,
    Source,
)
from roomful.probe.evidence.stacks import take_stacks
from roomful.probe.evidence.tcp_info import tcp_info
from roomful.probe.opening import open_connection
from roomful.probe.options import Options
from roomful.probe.target import is_loopback
from roomful.probe.traffic import Traffic

__all__ = ("Evidence",)

INTERVAL_S = 0.2
_MEMORY_READS = 10
_MEMORY_EVERY_S = INTERVAL_S / _MEMORY_READS
_MEMORY_STEP = 0.1
_STACKS_EVERY_S = 1.0
# Of our sockets so many are asked: what holds for one of many equal clients holds for the others.
_MAX_SOCKETS = 4
_MAX_CONTROLS = 8
_PING_TIMEOUT_S = 5.0
_MAX_SAMPLES = 20_000
_MAX_FAILURES = 3


class Evidence:
    """Everything that is watched during a run.

    Args:
        options: Whom, and what may be watched.
        clock: Seconds since the run began.
    """

    def __init__(self, options: Options, clock: Callable[[], float]) -> None:
        self._options = options
        self._clock = clock
        self._samples: dict[str, list[dict[str, object]]] = {}
        self._unavailable: dict[str, str] = {}
        self._failures: dict[str, int] = {}
        self._nothing: set[str] = set()
        self._memory = Memory(0, 0)
        self._sources: list[Source] = []
        self._processes: Processes | None = None
        self._traffic: Traffic | None = None
        self._thread: threading.Thread | None = None
        self._halt = threading.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._controls: list[Connection] = []
        self._control_pids: dict[int, int | None] = {}

    def connected(self, sock: socket.socket) -> None:
        """Take note of where the server is; called once a connection is open."""
        if not self._options.evidence:
            return
        peer = sock.getpeername()
        host, port = peer[0], peer[1]
        local = is_loopback(host) or host == sock.getsockname()[0]
        self._sources = [NetCounters(), Pressure()]
        if local or self._options.pid is not None:
            self._processes = Processes(self._options.pid, port)
            self._sources += [AcceptQueue(port), SocketMemory(port), self._processes, Cgroup(self._processes)]
            self._sources.append(RedisInfo(self._processes, port))
        else:
            for name in ("accept_queue", "processes", "cgroup", "redis"):
                self._unavailable[name] = "the server runs on another machine"
            self._sources.append(SocketMemory(port))
        if not self._options.stacks:
            self._unavailable["stacks"] = "not asked for: use roomful probe run, or --stacks"

    def start(self) -> None:
        """Begin to sample."""
        if not self._options.evidence:
            return
        self._read(-1)
        self._thread = threading.Thread(target=self._in_thread, name="roomful-probe-evidence", daemon=True)
        self._thread.start()
        self._tasks = [asyncio.create_task(self._watch_sockets()), asyncio.create_task(self._ping())]
        if self._options.stacks:
            self._tasks.append(asyncio.create_task(self._take_stacks()))

    async def stop(self) -> dict[str, object]:
        """End, and return all that was seen."""
        self._halt.set()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for connection in self._controls:
            connection.close()
            connection.abort()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, 6.0)
        if not self._options.evidence:
            return {"interval_s": None, "sources": [], "samples": {}}
        names = sorted({*self._samples, *self._unavailable, *(source.name for source in self._sources)})
        return {
            "interval_s": INTERVAL_S,
            "sources": [
                {
                    "name": name,
                    "available": bool(self._samples.get(name)),
                    "reason": self._unavailable.get(name),
                    # It could look, and there was nothing.
                    "nothing": name in self._nothing and not self._samples.get(name),
                    "samples": len(self._samples.get(name, ())),
                }
                for name in names
            ],
            "processes": {
                str(pid): {"command": command, "limits": self._processes.limits.get(pid)}
                for pid, command in self._processes.commands.items()
            }
            if self._processes
            else {},
            "controls": [{"client": number, "pid": pid} for number, pid in self._control_pids.items()],
            "samples": self._samples,
        }

    def watch(self, traffic: Traffic | None) -> None:
        """Take note of the trial whose sockets are to be watched."""
        self._traffic = traffic

    def server_now(self) -> dict[str, object] | None:
        """Return the newest sample of the server's processes."""
        samples = self._samples.get("processes")
        return dict(samples[-1]) if samples else None

    def memory_now(self) -> int | None:
        """Return the resident bytes of the server's processes, when they can be seen."""
        memory = None if self._processes is None else self._processes.memory()
        return None if memory is None else memory.rss_bytes

    def spent_now(self) -> Cost | None:
        """Return what the server's processes had by now, when they can be seen."""
        return None if self._processes is None else self._processes.spent()

    def files_now(self) -> list[tuple[int, int | None]]:
        """Return how many descriptors the server's processes have and may have, as far as that can be seen."""
        return [] if self._processes is None else self._processes.files()

    # in the thread

    def _in_thread(self) -> None:
        number = 0
        while not self._halt.wait(_MEMORY_EVERY_S):
            number += 1
            if number % _MEMORY_READS == 0:
                self._read(number // _MEMORY_READS - 1)
            self._read_memory()

    def _read_memory(self) -> None:
        """Keep the memory where it has changed: a process that outgrows its limit is gone before the next sample."""
        memory = None if self._processes is None else self._processes.memory()
        if memory is None:
            return
        step = _MEMORY_STEP * memory.rss_bytes
        if (
            abs(memory.rss_bytes - self._memory.rss_bytes) > step
            or memory.peak_bytes - self._memory.peak_bytes > step
        ):
            self._memory = memory
            self._keep("memory", self._clock(), asdict(memory))

    def _read(self, number: int) -> None:
        for source in self._sources:
            if (number >= 0 and number % source.every) or self._failures.get(source.name, 0) >= _MAX_FAILURES:
                continue
            t_s = self._clock()
            try:
                seen = source.sample()
            except (OSError, ValueError, IndexError, psutil.Error, subprocess.SubprocessError) as error:
                self._fail(source.name, error)
                continue
            if seen is not None:
                self._keep(source.name, t_s, seen)
            else:
                self._nothing.add(source.name)

    def _fail(self, name: str, error: Exception) -> None:
        reason = str(error) or type(error).__name__
        if isinstance(error, OSError) and error.strerror:
            reason = f"{error.filename or name}: {error.strerror}"
        self._unavailable[name] = reason
        self._failures[name] = self._failures.get(name, 0) + 1

    def _keep(self, name: str, t_s: float, seen: dict[str, object]) -> None:
        samples = self._samples.setdefault(name, [])
        if len(samples) < _MAX_SAMPLES:
            samples.append({"t_s": round(t_s, 4), **seen})

    # in the loop

    async def _watch_sockets(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL_S)
            traffic = self._traffic
            if traffic is None:
                continue
            for sender in traffic.senders[:_MAX_SOCKETS]:
                sock = sender.connection.socket
                if sock is None:
                    continue
                try:
                    seen: dict[str, object] = {
                        "client": sender.number,
                        "unsent_bytes": sender.connection.unsent,
                    }
                    self._keep("tcp_info", self._clock(), seen | tcp_info(sock))
                except OSError as error:
                    self._fail("tcp_info", error)

    async def _ping(self) -> None:
        """Ping on connections that carry nothing else; one for each worker process, where that can be seen."""
        try:
            await self._open_controls()
        except Unreachable as error:
            self._unavailable["ping"] = f"no control connection: {error}"
            return
        while True:
            await asyncio.gather(
                *(self._ping_one(each) for each in self._controls), asyncio.sleep(INTERVAL_S)
            )

    async def _ping_one(self, connection: Connection) -> None:
        if connection.end is not None:
            code = connection.end.code
            self._unavailable.setdefault("ping", f"a control connection was closed with {code}")
            return
        t_s = self._clock()
        try:
            rtt_s = await connection.ping(timeout_s=_PING_TIMEOUT_S)
        except ConnectionError:
            rtt_s = None
        self._keep("ping", t_s, {"client": connection.number, "rtt_s": rtt_s})

    async def _open_controls(self) -> None:
        workers: set[int] = set()
        for number in range(_MAX_CONTROLS):
            connection = await open_connection(self._options.target, number, None, max_bytes=1 << 30)
            pid = await asyncio.to_thread(self._owner, connection.socket)
            if pid is not None and pid in workers:
                # This worker has one; try for the others.
                connection.close()
                connection.abort()
            else:
                self._controls.append(connection)
                self._control_pids[number] = pid
            if pid is None:
                return
            workers.add(pid)
            known = self._processes.pids if self._processes else []
            if len(workers) >= len(known):
                return

    def _owner(self, sock: socket.socket | None) -> int | None:
        """Return the process that holds the server's end of a connection."""
        if sock is None or self._processes is None:
            return None
        with suppress(OSError, psutil.Error):
            port = sock.getsockname()[1]
            for pid in self._processes.pids:
                for each in psutil.Process(pid).net_connections("tcp"):
                    if getattr(each.raddr, "port", None) == port:
                        return pid
        return None

    async def _take_stacks(self) -> None:
        while True:
            await asyncio.sleep(_STACKS_EVERY_S)
            if self._traffic is None or self._processes is None:
                continue
            for pid in self._processes.pids:
                if "python" not in self._processes.commands.get(pid, ""):
                    continue
                try:
                    threads = await take_stacks(pid)
                except OSError as error:
                    self._fail("stacks", error)
                    if self._failures["stacks"] >= _MAX_FAILURES:
                        return
                    continue
                self._keep("stacks", self._clock(), {"pid": pid, "threads": threads})
