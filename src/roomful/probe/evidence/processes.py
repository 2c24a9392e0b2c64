"""The server's processes: CPU, run delay, memory, descriptors, threads, where they wait, as far as that may be seen."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from roomful.probe.evidence.procfs import parse_limits, parse_stat, parse_status

__all__ = ("Cost", "Memory", "Processes")

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
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
