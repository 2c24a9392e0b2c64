"""Fill a receiver that does not read, watch both ends, let it read on, and compare what came with what was sent.

Plain sockets on the loopback, in one thread with blocking calls and time-outs: no event loop stands between the
kernel and what is shown.
"""

from __future__ import annotations

import fcntl
import hashlib
import socket
import struct
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from roomful.probe.evidence.procfs import parse_counters
from roomful.probe.evidence.tcp_info import tcp_info

__all__ = ("BufferRun", "MachineLimits", "fill_and_read", "read_limits")

_CHUNK: Final = 64 * 1024
_MOST_BYTES: Final = 256 << 20
_STALLED_S: Final = 0.5
_TO_READ_ON: Final = 32 << 20
# Counters that people take for loss: they rise without any, as a segment that was dropped is sent again.
_COUNTERS: Final = (
    "TcpExt.PruneCalled",
    "TcpExt.RcvPruned",
    "TcpExt.TCPRcvCollapsed",
    "TcpExt.TCPRcvQDrop",
    "TcpExt.TCPZeroWindowDrop",
    "TcpExt.TCPToZeroWindowAdv",
    "TcpExt.TCPFromZeroWindowAdv",
    "TcpExt.TCPWantZeroWindowAdv",
    "Tcp.RetransSegs",
    "Tcp.InErrs",
)
_SIOCOUTQ: Final = 0x5411
_SIOCINQ: Final = 0x541B


@dataclass(frozen=True, slots=True)
class MachineLimits:
    """What this machine allows; `None` where it does not say."""

    rmem_max: int | None
    wmem_max: int | None
    tcp_rmem: tuple[int, ...] | None
    tcp_wmem: tuple[int, ...] | None
    moderate: bool | None


@dataclass(slots=True)
class BufferRun:
    """One filling.

    Attributes:
        receive_buffer: What `SO_RCVBUF` was set to; `None` for the kernel's own tuning.
        granted: What `SO_RCVBUF` says at the start and at the end.
        taken: Bytes that the kernel took before the sender had to wait.
        received: Bytes that came after the receiver read on.
        sent: All bytes that were sent.
        intact: Whether what came is what was sent, in order.
        waited_s: How long the sender waited although it had more.
        counters: Kernel counters that changed meanwhile, of the whole machine.
        samples: Both ends over time.
    """

    receive_buffer: int | None
    granted: tuple[int, int] = (0, 0)
    taken: int = 0
    received: int = 0
    sent: int = 0
    intact: bool = False
    waited_s: float = 0.0
    counters: dict[str, int] = field(default_factory=dict)
    samples: list[dict[str, object]] = field(default_factory=list)


def read_limits() -> MachineLimits:
    """Return the limits of this machine."""

    def numbers(path: str) -> tuple[int, ...] | None:
        try:
            return tuple(map(int, Path("/proc/sys/net", path).read_text().split()))
        except (OSError, ValueError):
            return None

    def one(path: str) -> int | None:
        found = numbers(path)
        return found[0] if found else None

    moderate = one("ipv4/tcp_moderate_rcvbuf")
    return MachineLimits(
        rmem_max=one("core/rmem_max"),
        wmem_max=one("core/wmem_max"),
        tcp_rmem=numbers("ipv4/tcp_rmem"),
        tcp_wmem=numbers("ipv4/tcp_wmem"),
        moderate=None if moderate is None else bool(moderate),
    )


def fill_and_read(receive_buffer: int | None, *, warm_up: bool) -> BufferRun:
    """Run one filling.

    Args:
        receive_buffer: Bytes for `SO_RCVBUF` of the receiver, or `None` to leave it to the kernel.
        warm_up: Whether to read for a while first: the kernel widens a buffer only for a reader that keeps up.
    """
    run = BufferRun(receive_buffer)
    before = _counters()
    sender, receiver = _pair(receive_buffer)
    with sender, receiver:
        first = receiver.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        filling = _Filling(run, sender, receiver)
        if warm_up:
            filling.read_along()
        filling.fill()
        run.granted = (first, receiver.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF))
        filling.read_on()
    after = _counters()
    run.counters = {
        name: after[name] - before.get(name, 0)
        for name in _COUNTERS
        if after.get(name, 0) != before.get(name, 0)
    }
    return run


class _Filling:
    """The three parts of a filling: reading along, not reading, reading on."""

    def __init__(self, run: BufferRun, sender: socket.socket, receiver: socket.socket) -> None:
        self._run = run
        self._sender = sender
        self._receiver = receiver
        self._began = time.monotonic()
        self._sent_hash, self._came_hash = hashlib.blake2b(), hashlib.blake2b()
        self._number = 0
        self._pending = b""

    def read_along(self) -> None:
        """Read each chunk as it comes."""
        for _ in range(_TO_READ_ON // _CHUNK):
            data = self._chunk()
            self._sender.sendall(data)
            self._count_sent(data)
            left = len(data)
            while left:
                left -= self._read(left)
        self._note()

    def fill(self) -> None:
        """Send while nobody reads, until the kernel has taken nothing for a while."""
        run = self._run
        start = run.sent
        self._sender.setblocking(False)
        stalled: float | None = None
        next_note = 0.0
        while run.sent - start < _MOST_BYTES:
            if self._send():
                stalled = None
            else:
                stalled = stalled or time.monotonic()
                if time.monotonic() - stalled > _STALLED_S:
                    break
                time.sleep(0.005)
            if time.monotonic() >= next_note:
                self._note()
                next_note = time.monotonic() + 0.02
        run.taken = run.sent - start
        run.waited_s = time.monotonic() - stalled if stalled else 0.0
        self._note()

    def read_on(self) -> None:
        """Read to the end; what the sender still had goes out meanwhile."""
        self._receiver.settimeout(5.0)
        ended = False
        while True:
            if not ended and (not self._pending or self._send()) and not self._pending:
                self._sender.shutdown(socket.SHUT_WR)
                ended = True
            if not self._read(1 << 20):
                break
        self._note()
        run = self._run
        run.intact = run.received == run.sent and self._came_hash.digest() == self._sent_hash.digest()

    def _send(self) -> bool:
        """Send what the kernel takes; return whether it took anything."""
        self._pending = self._pending or self._chunk()
        try:
            taken = self._sender.send(self._pending)
        except BlockingIOError:
            return False
        self._count_sent(self._pending[:taken])
        self._pending = self._pending[taken:]
        return True

    def _read(self, most: int) -> int:
        part = self._receiver.recv(most)
        self._came_hash.update(part)
        self._run.received += len(part)
        return len(part)

    def _count_sent(self, data: bytes) -> None:
        self._sent_hash.update(data)
        self._run.sent += len(data)

    def _chunk(self) -> bytes:
        self._number += 1
        return struct.pack(">Q", self._number) * (_CHUNK // 8)

    def _note(self) -> None:
        now = time.monotonic() - self._began
        sample: dict[str, object] = {"t_s": round(now, 4), "sent": self._run.sent}
        with suppress(OSError):
            info = tcp_info(self._sender)
            sample |= {
                name: info.get(name) for name in ("snd_wnd", "notsent_bytes", "unacked", "rwnd_limited_us")
            }
            sample["send_queue"] = _queue(self._sender, _SIOCOUTQ)
            sample["receive_queue"] = _queue(self._receiver, _SIOCINQ)
            theirs = tcp_info(self._receiver)
            sample |= {"rcvbuf": theirs.get("sk_rcvbuf"), "rmem_alloc": theirs.get("sk_rmem_alloc")}
            sample["drops"] = theirs.get("sk_drops")
        self._run.samples.append(sample)


def _pair(receive_buffer: int | None) -> tuple[socket.socket, socket.socket]:
    with socket.socket() as listener:
        if receive_buffer is not None:
            # Before listening: the window's scale is agreed upon in the handshake.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        sender = socket.create_connection(listener.getsockname())
        receiver, _ = listener.accept()
    return sender, receiver


def _queue(sock: socket.socket, request: int) -> int:
    return int(struct.unpack("i", fcntl.ioctl(sock.fileno(), request, b"\0" * 4))[0])


def _counters() -> dict[str, int]:
    found: dict[str, int] = {}
    for path in ("/proc/net/netstat", "/proc/net/snmp"):
        with suppress(OSError):
            found |= parse_counters(Path(path).read_text())
    return found
