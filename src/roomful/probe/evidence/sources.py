"""Sources of evidence about a machine and a server's processes, each able to say why it sees nothing.

They read; they change nothing and need no privilege, but see less without. All run in the sampler's thread.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, Protocol

import psutil

from roomful.probe.evidence.procfs import (
    parse_counters,
    parse_flat,
    parse_limits,
    parse_listening,
    parse_pressure,
    parse_skmem,
    parse_stat,
    parse_status,
)

__all__ = (
    "AcceptQueue",
    "Cgroup",
    "Cost",
    "Memory",
    "NetCounters",
    "Pressure",
    "Processes",
    "SocketMemory",
    "Source",
)

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_MAX_SOCKETS: Final = 64
_SOCKETS_EVERY: Final = 5
_SOCKETS_A_SAMPLE: Final = 400
_RESCAN_SAMPLES: Final = 25


@dataclass(frozen=True, slots=True)
class Cost:
    """What processes had since they began: CPU time, and time in which they were ready and did not run."""

    cpu_s: float
    waited_s: float


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident bytes of processes: now, and the most that each ever had."""

    rss_bytes: int
    peak_bytes: int


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


class Processes:
    """The server's processes: CPU, run delay, memory, descriptors, threads, where they wait."""

    name = "processes"
    every = 1

    def __init__(self, pid: int | None, port: int) -> None:
        self._root = pid
        self._found = False
        self._port = port
        self._pids: list[int] = []
        self._samples = 0
        self.limits: dict[int, dict[str, int | None]] = {}
        self.commands: dict[int, str] = {}

    @property
    def pids(self) -> list[int]:
        """Those that were seen last."""
        return list(self._pids)

    def sample(self) -> dict[str, object] | None:
        """Return one entry for each process."""
        if self._samples % _RESCAN_SAMPLES == 0 or not self._pids:
            self._find()
        self._samples += 1
        entries = []
        for pid in list(self._pids):
            try:
                entries.append(self._one(pid))
            except (FileNotFoundError, ProcessLookupError):
                self._pids.remove(pid)
        return {"processes": entries}

    def memory(self) -> Memory | None:
        """Return the memory of all, when it can be seen."""
        rss = peak = 0
        for pid in self._pids:
            try:
                status = parse_status(Path(f"/proc/{pid}/status").read_text())
            except (OSError, ValueError):
                continue
            rss, peak = rss + status.get("VmRSS", 0), peak + status.get("VmHWM", 0)
        return Memory(rss, peak) if rss else None

    def spent(self) -> Cost | None:
        """Return what all threads had, when it can be seen."""
        cpu = waited = 0
        try:
            for pid in self._pids:
                for file in Path(f"/proc/{pid}/task").glob("*/schedstat"):
                    ran, delayed, _ = file.read_text().split()
                    cpu, waited = cpu + int(ran), waited + int(delayed)
        except (OSError, ValueError):
            return None
        return Cost(cpu / 1e9, waited / 1e9) if self._pids else None

    def files(self) -> list[tuple[int, int | None]]:
        """Return how many descriptors each process has and may have, as far as that can be seen."""
        found = []
        for pid in self._pids:
            with suppress(OSError):
                limits = parse_limits(Path(f"/proc/{pid}/limits").read_text())
                found.append((_descriptors(Path(f"/proc/{pid}")), limits.get("open_files")))
        return found

    def _find(self) -> None:
        if self._root is None or (self._found and not psutil.pid_exists(self._root)):
            # Looking for it reads every socket of the machine.
            self._root, self._found = _listener(self._port), True
        root = self._root
        if root is None:
            raise OSError(
                f"no process of ours listens at port {self._port}: give its --pid, run as its user or as root, "
                "or use roomful probe run"
            )
        try:
            process = psutil.Process(root)
            found = [root, *(child.pid for child in process.children(recursive=True))]
        except psutil.Error as error:
            raise OSError(f"process {root} is gone") from error
        self._pids = sorted(found)
        for pid in self._pids:
            if pid in self.commands:
                continue
            try:
                command = (
                    Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                )
                self.commands[pid] = command.strip()[:200]
                self.limits[pid] = parse_limits(Path(f"/proc/{pid}/limits").read_text())
            except OSError:
                self.commands.setdefault(pid, "")

    def _one(self, pid: int) -> dict[str, object]:
        base = Path(f"/proc/{pid}")
        stat = parse_stat((base / "stat").read_text())
        entry: dict[str, object] = {
            "pid": pid,
            "state": stat["state"],
            "cpu_s": (int(stat["utime_ticks"]) + int(stat["stime_ticks"])) / _TICKS,
            "system_s": int(stat["stime_ticks"]) / _TICKS,
            "threads": stat["threads"],
            "rss_bytes": int(stat["rss_pages"]) * _PAGE,
            "major_faults": stat["major_faults"],
        }
        optional: dict[str, Callable[[], object]] = {
            # A process of another user shows less; what is missing is `None`.
            "run_delay_s": lambda: int((base / "schedstat").read_text().split()[1]) / 1e9,
            "descriptors": lambda: _descriptors(base),
            "wchan": lambda: (base / "wchan").read_text() or None,
            "switches": lambda: _switches((base / "status").read_text()),
        }
        for name, read in optional.items():
            try:
                entry[name] = read()
            except (PermissionError, IndexError, ValueError):
                entry[name] = None
            except FileNotFoundError:
                entry[name] = None
        return entry


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


def _descriptors(process: Path) -> int:
    """Return how many descriptors a process has: the size of their folder, or before Linux 6.2 what is in it."""
    folder = process / "fd"
    return folder.stat().st_size or sum(1 for _ in folder.iterdir())


def _listener(port: int) -> int | None:
    """Return the process that listens at a port, the oldest of several, if it may be seen."""
    try:
        pids = {
            each.pid
            for each in psutil.net_connections("tcp")
            if each.status == psutil.CONN_LISTEN and each.laddr and each.laddr.port == port and each.pid
        }
    except psutil.Error:
        return None
    return min(pids, default=None)


def _switches(text: str) -> list[int]:
    """Return voluntary and forced context switches."""
    return [int(line.split()[1]) for line in text.splitlines() if "ctxt_switches" in line]
