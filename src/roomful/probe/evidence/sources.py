"""Sources of evidence about a machine and a server's processes, each able to say why it sees nothing.

They read; they change nothing and need no privilege, but see less without. All run in the sampler's thread.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import ClassVar, Final, Protocol

from roomful.probe.evidence.processes import Processes
from roomful.probe.evidence.procfs import (
    parse_counters,
    parse_flat,
    parse_listening,
    parse_pressure,
    parse_skmem,
)

__all__ = ("AcceptQueue", "Cgroup", "NetCounters", "Pressure", "SocketMemory", "Source")

_MAX_SOCKETS: Final = 64
_SOCKETS_EVERY: Final = 5
_SOCKETS_A_SAMPLE: Final = 400


class Source(Protocol):
    """One kind of evidence."""

    name: str
    every: int
    """It is asked at each so manieth sample: some are dear."""

    def sample(self) -> dict[str, object] | None:
        """Return what is seen now, `None` for nothing.

        Raises:
            OSError: it cannot be seen; the text is the reason.
        """


class NetCounters:
    """Kernel counters of TCP and IP; only those that changed since the start."""

    name = "net"
    every = 1

    def __init__(self) -> None:
        self._first: dict[str, int] | None = None

    def sample(self) -> dict[str, object] | None:
        """Return changes since the first sample."""
        now: dict[str, int] = {}
        for path in ("/proc/net/netstat", "/proc/net/snmp"):
            now |= parse_counters(Path(path).read_text())
        if self._first is None:
            self._first = now
        first = self._first
        return {
            name: value - first.get(name, 0) for name, value in now.items() if value != first.get(name, 0)
        }


class Pressure:
    """Pressure stall information: time in which somebody waited for CPU, memory or a disk."""

    name = "pressure"
    every = 1

    def sample(self) -> dict[str, object] | None:
        """Return all three, of the whole machine."""
        found: dict[str, object] = {}
        for kind in ("cpu", "memory", "io"):
            text = Path(f"/proc/pressure/{kind}").read_text()
            found |= {f"{kind}_{name}": value for name, value in parse_pressure(text).items()}
        return found


class AcceptQueue:
    """Connections that wait to be accepted at the server's port."""

    name = "accept_queue"
    every = 1

    def __init__(self, port: int) -> None:
        self._port = port

    def sample(self) -> dict[str, object] | None:
        """Return how many wait, by socket."""
        found: dict[str, int] = {}
        for path in ("/proc/net/tcp", "/proc/net/tcp6"):
            if Path(path).exists():
                with Path(path).open() as lines:
                    found |= parse_listening(lines, self._port)
        return {"waiting": sum(found.values()), "sockets": len(found)} if found else None


class SocketMemory:
    """`ss`: queues and memory of the sockets at the server's port, both ends when both are here."""

    name = "sockets"

    def __init__(self, port: int) -> None:
        self._port = port
        self.every: int = _SOCKETS_EVERY

    def sample(self) -> dict[str, object] | None:
        """Return the sockets, at most 64, and sums of all."""
        if shutil.which("ss") is None:
            raise OSError("ss is not installed (package iproute2)")
        port = self._port
        command = ["ss", "-tmnHO", f"( sport = :{port} or dport = :{port} )"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)  # noqa: S603  # no shell; the port is a number
        if done.returncode:
            raise OSError(f"ss failed: {done.stderr.strip()[:200]}")
        sockets = parse_skmem(done.stdout)
        # Many thousands take longer to read than the generator can spare each second.
        self.every = max(_SOCKETS_EVERY, len(sockets) // _SOCKETS_A_SAMPLE)
        totals = {
            name: sum(value for each in sockets if isinstance(value := each.get(name), int))
            for name in ("recv_queue", "send_queue", "rmem_alloc", "wmem_queued", "drops")
        }
        return {"count": len(sockets), "totals": totals, "sockets": sockets[:_MAX_SOCKETS]}


class Cgroup:
    """The control group of the server's first process, version 1 or 2: limits, throttling, memory events."""

    name = "cgroup"
    every = 2

    _V2 = ("cpu.stat", "memory.events", "memory.stat", "pids.events")
    _V2_VALUES = ("cpu.max", "memory.current", "memory.max", "memory.high", "pids.current", "pids.max")
    _V1: ClassVar = {
        "cpu": ("cpu.stat", "cpu.cfs_quota_us", "cpu.cfs_period_us"),
        "memory": ("memory.usage_in_bytes", "memory.limit_in_bytes", "memory.failcnt", "memory.oom_control"),
        "pids": ("pids.current", "pids.max"),
    }

    def __init__(self, processes: Processes) -> None:
        self._processes = processes

    def sample(self) -> dict[str, object] | None:
        """Return what the group says."""
        pids = self._processes.pids
        if not pids:
            raise OSError("the server's processes are not known")
        found: dict[str, object] = {}
        for line in Path(f"/proc/{pids[0]}/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers:
                found |= self._read(Path("/sys/fs/cgroup") / path.lstrip("/"), (*self._V2, *self._V2_VALUES))
            for controller, names in self._V1.items():
                if controller in controllers.split(","):
                    found |= self._read(Path(f"/sys/fs/cgroup/{controller}") / path.lstrip("/"), names)
        if not found:
            raise OSError("no file of its control group can be read")
        return found

    def _read(self, folder: Path, names: tuple[str, ...]) -> dict[str, object]:
        found: dict[str, object] = {}
        for name in names:
            try:
                text = (folder / name).read_text().strip()
            except OSError:
                continue
            flat = parse_flat(text)
            if name == "memory.stat":
                flat = {key: flat[key] for key in ("anon", "file", "sock", "kernel") if key in flat}
            found[name] = flat or (int(text) if text.isdigit() else text)
        return found
