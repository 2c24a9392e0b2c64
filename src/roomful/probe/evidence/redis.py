"""What Redis, or Valkey, says about itself, when the server on this machine uses one.

It is found by the name of the process at the other end of the server's connections, and asked for its counters, its
subscribers and their limit; nothing is changed there. One that wants a password is left alone.
"""

from __future__ import annotations

import re
import socket
from contextlib import suppress
from typing import Final

import psutil

from roomful.probe.evidence.processes import Processes

__all__ = ("RedisInfo", "parse_info")

_PROGRAMS: Final = ("redis-server", "valkey-server")
_TIMEOUT_S: Final = 0.5
_KEPT: Final = {
    "client_output_buffer_limit_disconnections": "output_buffer_disconnections",
    "connected_clients": "clients",
    "client_recent_max_output_buffer": "max_output_bytes",
    "pubsub_clients": "subscribers",
    "used_memory": "used_bytes",
    "rejected_connections": "rejected",
    "evicted_keys": "evicted",
}
_RESCAN: Final = 10
_ASK: Final = b"INFO\r\nCLIENT LIST TYPE pubsub\r\nCONFIG GET client-output-buffer-limit\r\nQUIT\r\n"
_SUBSCRIBER: Final = re.compile(r"^(?:txt:)?id=(\d+) ", re.MULTILINE)
_LIMIT: Final = re.compile(r"\bpubsub (\d+) \d+ \d+")


class RedisInfo:
    """The first Redis that the server's processes are connected to."""

    name = "redis"
    every = 3

    def __init__(self, processes: Processes, port: int) -> None:
        self._processes = processes
        self._port = port
        self._address: tuple[str, int] | None = None
        self._samples = 0

    def sample(self) -> dict[str, object] | None:
        """Return counters; nothing when the server's processes are connected to nobody else, so that there is none.

        Raises:
            OSError: the server may use one that cannot be asked, or it does not say.
        """
        if self._address is None and self._samples % _RESCAN == 0:
            self._address = _find(self._processes.pids, self._port)
        self._samples += 1
        if self._address is None:
            return None
        with socket.create_connection(self._address, timeout=_TIMEOUT_S) as sock:
            sock.sendall(_ASK)
            text = b""
            while data := sock.recv(65536):
                text += data
        if text.startswith(b"-"):
            raise OSError(
                f"Redis at port {self._address[1]}: {text.splitlines()[0][1:100].decode(errors='replace')}"
            )
        return parse_info(text.decode(errors="replace"))


def parse_info(text: str) -> dict[str, object]:
    """Read the answers: counters, the ids of the subscribers, the limit of what they may leave unread."""
    found: dict[str, object] = {"subscriber_ids": [int(each) for each in _SUBSCRIBER.findall(text)]}
    limit = _LIMIT.search(text)
    if limit is not None:
        found["output_limit_bytes"] = int(limit[1])
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name in _KEPT and value.strip().isdigit():
            found[_KEPT[name]] = int(value)
    return found


def _find(pids: list[int], port: int) -> tuple[str, int] | None:
    """Return the address of a Redis that is one of these processes, or that one of them is connected to.

    Raises:
        OSError: they are connected to something that cannot be told.
    """
    peers: set[tuple[str, int]] = set()
    for pid in pids:
        with suppress(psutil.Error):
            process = psutil.Process(pid)
            for each in process.net_connections("tcp"):
                if process.name() in _PROGRAMS and each.status == psutil.CONN_LISTEN:
                    return each.laddr.ip, each.laddr.port
                if each.status == psutil.CONN_ESTABLISHED and each.laddr.port != port:
                    peers.add((each.raddr.ip, each.raddr.port))
    if not peers:
        return None
    with suppress(psutil.Error):
        for listener in psutil.net_connections("tcp"):
            if listener.status != psutil.CONN_LISTEN or listener.pid is None:
                continue
            port_of = getattr(listener.laddr, "port", None)
            address = next((peer for peer in peers if peer[1] == port_of), None)
            if address is not None and psutil.Process(listener.pid).name() in _PROGRAMS:
                return address
    raise OSError("the server is connected to something else, and that is no Redis on this machine")
