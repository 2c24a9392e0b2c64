"""What `/proc` and `/sys/fs/cgroup` say, read from text. Pure parsers: a file's content in, numbers out."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

__all__ = (
    "Listening",
    "parse_counters",
    "parse_flat",
    "parse_limits",
    "parse_listening",
    "parse_pressure",
    "parse_skmem",
    "parse_stat",
    "parse_status",
)

_SKMEM: Final = re.compile(r"skmem:\(([^)]*)\)")
_SKMEM_NAMES: Final = {
    "r": "rmem_alloc",
    "rb": "rcvbuf",
    "t": "wmem_alloc",
    "tb": "sndbuf",
    "f": "fwd_alloc",
    "w": "wmem_queued",
    "o": "optmem",
    "bl": "backlog",
    "d": "drops",
}
_LISTEN: Final = "0A"

Listening = tuple[str, int]
"""An inode and how many accepted connections wait at it."""


def parse_counters(text: str) -> dict[str, int]:
    """Read `/proc/net/netstat` or `/proc/net/snmp`: lines of names, each with a line of values."""
    counters: dict[str, int] = {}
    lines = text.splitlines()
    for names, values in zip(lines[::2], lines[1::2], strict=False):
        group, _, rest = names.partition(":")
        for name, value in zip(rest.split(), values.partition(":")[2].split(), strict=False):
            counters[f"{group}.{name}"] = int(value)
    return counters


def parse_pressure(text: str) -> dict[str, float]:
    """Read a file of `/proc/pressure`: `some_avg10`, `full_total` and the like; totals in µs."""
    found = {}
    for line in text.splitlines():
        kind, *pairs = line.split()
        for pair in pairs:
            name, _, value = pair.partition("=")
            found[f"{kind}_{name}"] = float(value)
    return found


def parse_flat(text: str) -> dict[str, int]:
    """Read lines of a name and a number, as in `cpu.stat`, `memory.events` and `io.stat`-like files."""
    found = {}
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if value.strip().lstrip("-").isdigit():
            found[name] = int(value)
    return found


def parse_limits(text: str) -> dict[str, int | None]:
    """Read `/proc/PID/limits`: the soft limits, `None` for none."""
    found: dict[str, int | None] = {}
    for line in text.splitlines()[1:]:
        parts = re.split(r"\s{2,}", line.strip())
        if len(parts) >= 2:
            value = parts[1]
            found[parts[0].removeprefix("Max ").replace(" ", "_")] = int(value) if value.isdigit() else None
    return found


def parse_stat(text: str) -> dict[str, int | str]:
    """Read `/proc/PID/stat`: state, CPU ticks, threads, resident pages, faults; the name may hold anything."""
    rest = text.rpartition(")")[2].split()
    return {
        "state": rest[0],
        "utime_ticks": int(rest[11]),
        "stime_ticks": int(rest[12]),
        "threads": int(rest[17]),
        "rss_pages": int(rest[21]),
        "major_faults": int(rest[9]),
        "blkio_ticks": int(rest[39]),
    }


def parse_status(text: str) -> dict[str, int]:
    """Read `/proc/PID/status`: the sizes in it, in bytes."""
    found = {}
    for line in text.splitlines():
        name, _, value = line.partition(":")
        number, _, unit = value.strip().partition(" ")
        if unit == "kB" and number.isdigit():
            found[name] = int(number) * 1024
    return found


def parse_listening(lines: Iterable[str], port: int) -> dict[str, int]:
    """Read `/proc/net/tcp` or `tcp6`: how many connections wait to be accepted at a port, by inode.

    The kernel shows those that listen first, so nothing is read of the thousands that may follow.
    """
    found = {}
    rows = iter(lines)
    next(rows, None)
    for line in rows:
        parts = line.split()
        if len(parts) <= 9 or parts[3] != _LISTEN:
            break
        if int(parts[1].rpartition(":")[2], 16) == port:
            found[parts[9]] = int(parts[4].partition(":")[2], 16)
    return found


def parse_skmem(text: str) -> list[dict[str, int | str]]:
    """Read `ss -tmnHO`: for each socket its queues, ends and memory."""
    sockets = []
    for line in text.splitlines():
        parts = line.split()
        found = _SKMEM.search(line)
        if len(parts) < 5 or found is None:
            continue
        memory: dict[str, int | str] = {
            "state": parts[0],
            "recv_queue": int(parts[1]),
            "send_queue": int(parts[2]),
            "local": parts[3],
            "peer": parts[4],
        }
        for each in found[1].split(","):
            name = each.rstrip("0123456789")
            if name in _SKMEM_NAMES:
                memory[_SKMEM_NAMES[name]] = int(each[len(name) :])
        sockets.append(memory)
    return sockets
