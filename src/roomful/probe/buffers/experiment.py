"""Fill a receiver that does not read, watch both ends, let it read on, and compare what came with what was sent.

Plain sockets on the loopback, in one thread with blocking calls and time-outs: no event loop stands between the
kernel and what is shown.
"""

from __future__ import annotations

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
        began = time.monotonic()
        sent_hash, came_hash = hashlib.blake2b(), hashlib.blake2b()
        number = 0

        def chunk() -> bytes:
            nonlocal number
            number += 1
            return struct.pack(">Q", number) * (_CHUNK // 8)

        def note() -> None:
            sample: dict[str, object] = {"t_s": round(time.monotonic() - began, 4), "sent": run.sent}
            with suppress(OSError):
                info = tcp_info(sender)
                sample |= {name: info.get(name) for name in ("snd_wnd", "notsent_bytes", "unacked", "rwnd_limited_us")}
                sample["send_queue"] = _queue(sender, _SIOCOUTQ)
                sample["receive_queue"] = _queue(receiver, _SIOCINQ)
                theirs = tcp_info(receiver)
                sample |= {"rcvbuf": theirs.get("sk_rcvbuf"), "rmem_alloc": theirs.get("sk_rmem_alloc")}
                sample["drops"] = theirs.get("sk_drops")
            run.samples.append(sample)

        first = receiver.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        if warm_up:
            for _ in range(_TO_READ_ON // _CHUNK):
                data = chunk()
                sender.sendall(data)
                run.sent += len(data)
                sent_hash.update(data)
                left = len(data)
                while left:
                    part = receiver.recv(left)
                    came_hash.update(part)
                    run.received += len(part)
                    left -= len(part)
            note()
        # Nobody reads from here on.
        start = run.sent
        sender.setblocking(False)
        pending = b""
        stalled: float | None = None
        next_note = 0.0
        while run.sent - start < _MOST_BYTES:
            if not pending:
                pending = chunk()
            try:
                taken = sender.send(pending)
                sent_hash.update(pending[:taken])
                run.sent += taken
                pending = pending[taken:]
                stalled = None
            except BlockingIOError:
                stalled = stalled or time.monotonic()
                if time.monotonic() - stalled > _STALLED_S:
                    break
                time.sleep(0.005)
            if time.monotonic() >= next_note:
                note()
                next_note = time.monotonic() + 0.02
        run.taken = run.sent - start
        run.waited_s = time.monotonic() - stalled if stalled else 0.0
        note()
        # It reads on; what the sender still had goes out, and then the end.
        last = receiver.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        receiver.settimeout(5.0)
        rest = pending
        while True:
            if rest is not None:
                with suppress(BlockingIOError):
                    taken = sender.send(rest) if rest else 0
                    sent_hash.update(rest[:taken])
                    run.sent += taken
                    rest = rest[taken:]
                if not rest:
                    sender.shutdown(socket.SHUT_WR)
                    rest = None  # type: ignore[assignment]  # all is sent
            part = receiver.recv(1 << 20)
            if not part:
                break
            came_hash.update(part)
            run.received += len(part)
        note()
        run.granted = (first, last)
        run.intact = run.received == run.sent and came_hash.digest() == sent_hash.digest()
    after = _counters()
    run.counters = {
        name: after[name] - before.get(name, 0) for name in _COUNTERS if after.get(name, 0) != before.get(name, 0)
    }
    return run


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
    import fcntl  # Linux only, like the rest of this experiment

    return int(struct.unpack("i", fcntl.ioctl(sock.fileno(), request, b"\0" * 4))[0])


def _counters() -> dict[str, int]:
    found: dict[str, int] = {}
    for path in ("/proc/net/netstat", "/proc/net/snmp"):
        with suppress(OSError):
            found |= parse_counters(Path(path).read_text())
    return found
