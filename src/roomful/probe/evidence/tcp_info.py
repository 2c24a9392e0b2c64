"""`TCP_INFO` and socket memory of a socket of our own, as the kernel gives them. Linux only."""

from __future__ import annotations

import socket
import struct
from typing import Final

__all__ = ("parse_tcp_info", "tcp_info")

_TCP_INFO: Final = 11
_SO_MEMINFO: Final = 55
# struct tcp_info, include/uapi/linux/tcp.h; fields were only ever added at the end, so a shorter answer is older.
_FIELDS: Final = (
    *(
        ("B", name)
        for name in ("state", "ca_state", "retransmits", "probes", "backoff", "options", "wscale", "app")
    ),
    *(
        ("I", name)
        for name in ("rto_us", "ato_us", "snd_mss", "rcv_mss", "unacked", "sacked", "lost", "retrans")
    ),
    *(
        ("I", name)
        for name in ("fackets", "last_data_sent", "last_ack_sent", "last_data_recv", "last_ack_recv")
    ),
    *(
        ("I", name)
        for name in ("pmtu", "rcv_ssthresh", "rtt_us", "rttvar_us", "snd_ssthresh", "snd_cwnd", "advmss")
    ),
    *(("I", name) for name in ("reordering", "rcv_rtt_us", "rcv_space", "total_retrans")),
    *(("Q", name) for name in ("pacing_rate", "max_pacing_rate", "bytes_acked", "bytes_received")),
    *(
        ("I", name)
        for name in ("segs_out", "segs_in", "notsent_bytes", "min_rtt_us", "data_segs_in", "data_segs_out")
    ),
    *(("Q", name) for name in ("delivery_rate", "busy_time_us", "rwnd_limited_us", "sndbuf_limited_us")),
    *(("I", name) for name in ("delivered", "delivered_ce")),
    *(("Q", name) for name in ("bytes_sent", "bytes_retrans")),
    *(("I", name) for name in ("dsack_dups", "reord_seen", "rcv_ooopack", "snd_wnd", "rcv_wnd", "rehash")),
)
_KEPT: Final = frozenset(
    (
        "state",
        "unacked",
        "lost",
        "retrans",
        "total_retrans",
        "data_segs_out",
        "rtt_us",
        "snd_cwnd",
        "snd_wnd",
        "rcv_wnd",
        "rcv_space",
        "notsent_bytes",
        "bytes_acked",
        "bytes_received",
        "busy_time_us",
        "rwnd_limited_us",
        "sndbuf_limited_us",
        "probes",
    )
)
_MEMORY: Final = (
    "rmem_alloc",
    "rcvbuf",
    "wmem_alloc",
    "sndbuf",
    "fwd_alloc",
    "wmem_queued",
    "optmem",
    "backlog",
    "drops",
)


def parse_tcp_info(data: bytes) -> dict[str, int]:
    """Return the fields that matter here; those that this kernel does not know are missing."""
    found: dict[str, int] = {}
    place = 0
    for kind, name in _FIELDS:
        size = struct.calcsize(kind)
        place += -place % size
        if place + size > len(data):
            break
        if name in _KEPT:
            found[name] = struct.unpack_from(f"={kind}", data, place)[0]
        place += size
    return found


def tcp_info(sock: socket.socket) -> dict[str, int]:
    """Return what the kernel knows of a socket.

    Raises:
        OSError: it does not say.
    """
    found = parse_tcp_info(sock.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, 256))
    try:
        memory = sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 64)
    except OSError:
        return found
    values = struct.unpack(f"={len(memory) // 4}I", memory)
    return found | {f"sk_{name}": value for name, value in zip(_MEMORY, values, strict=False)}
