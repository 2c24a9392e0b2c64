"""Sources of evidence: their parsers, and what they say when they see nothing."""

from __future__ import annotations

import os
import shutil
import socket
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from roomful.probe.evidence.processes import Processes
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
from roomful.probe.evidence.sources import AcceptQueue, Cgroup, NetCounters, SocketMemory
from roomful.probe.evidence.stacks import take_stacks
from roomful.probe.evidence.tcp_info import parse_tcp_info, tcp_info


def test_counters_are_named_by_group() -> None:
    """Two lines make one table."""
    text = "TcpExt: SyncookiesSent PruneCalled\nTcpExt: 0 7\nIpExt: InNoRoutes\nIpExt: 3\n"
    assert parse_counters(text) == {
        "TcpExt.SyncookiesSent": 0,
        "TcpExt.PruneCalled": 7,
        "IpExt.InNoRoutes": 3,
    }


def test_pressure_and_flat_files() -> None:
    """As the kernel documents them."""
    text = "some avg10=1.50 avg60=0.00 avg300=0.00 total=42\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
    assert parse_pressure(text)["some_avg10"] == 1.5
    assert parse_pressure(text)["some_total"] == 42
    assert parse_flat("nr_throttled 3\nthrottled_usec 99\nnot a number\n") == {
        "nr_throttled": 3,
        "throttled_usec": 99,
    }


def test_limits_have_none_for_unlimited() -> None:
    """The soft limit counts."""
    text = (
        "Limit                     Soft Limit           Hard Limit           Units     \n"
        "Max cpu time              unlimited            unlimited            seconds   \n"
        "Max open files            1024                 4096                 files     \n"
    )
    assert parse_limits(text) == {"cpu_time": None, "open_files": 1024}


def test_stat_survives_any_name() -> None:
    """A process may be called `) R 1 (`."""
    text = "12 () R 1 () S " + " ".join(str(number) for number in range(4, 53))
    stat = parse_stat(text)
    assert (stat["state"], stat["utime_ticks"], stat["stime_ticks"], stat["threads"]) == ("S", 14, 15, 20)


def test_status_has_sizes_in_bytes() -> None:
    """Other lines are no sizes."""
    assert parse_status("Name:\ta kB\nVmHWM:\t    84 kB\nThreads:\t3\n") == {"VmHWM": 84 * 1024}


def test_listening_sockets_tell_who_waits() -> None:
    """Only of the port, only those that listen."""
    text = (
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
        "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000005 00:00000000 00000000  0  0 1111 1 0 100 0 0 10 0\n"
        "   1: 0100007F:1F91 00000000:0000 0A 00000000:00000002 00:00000000 00000000  0  0 2222 1 0 100 0 0 10 0\n"
        "   2: 0100007F:1F90 0100007F:1234 01 00000000:00000009 00:00000000 00000000  0  0 3333 1 0 100 0 0 10 0\n"
    )
    assert parse_listening(text.splitlines(), 8080) == {"1111": 5}


def test_nothing_is_read_behind_the_sockets_that_listen() -> None:
    """There may be thousands, five times a second."""

    def lines() -> Iterator[str]:
        yield "  sl  local_address ..."
        yield "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000005 00:00000000 00000000  0  0 1111 1"
        yield "   1: 0100007F:1F90 0100007F:1234 01 00000000:00000009 00:00000000 00000000  0  0 3333 1"
        raise AssertionError("read on")

    assert parse_listening(lines(), 8080) == {"1111": 5}


def test_many_sockets_are_asked_for_more_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the generator keeps its schedule; few are asked for each second."""
    line = "ESTAB 0 0 127.0.0.1:1 127.0.0.1:2 skmem:(r10,rb20,t30,tb40,f50,w60,o70,bl80,d90)\n"
    sockets = SocketMemory(1)
    monkeypatch.setattr(shutil, "which", lambda name: name)
    for count, every in ((38_000, 95), (10, 5)):
        done = subprocess.CompletedProcess([], 0, stdout=line * count, stderr="")
        monkeypatch.setattr(subprocess, "run", lambda *args, done=done, **options: done)
        assert sockets.sample() is not None
        assert sockets.every == every


def test_skmem_of_ss() -> None:
    """Queues, ends and memory."""
    text = "ESTAB 7 9 127.0.0.1:1 127.0.0.1:2 skmem:(r10,rb20,t30,tb40,f50,w60,o70,bl80,d90)\nnonsense\n"
    (found,) = parse_skmem(text)
    assert (found["recv_queue"], found["send_queue"], found["rcvbuf"], found["drops"]) == (7, 9, 20, 90)


def test_tcp_info_of_an_older_kernel_is_shorter() -> None:
    """What it does not know is missing, not zero."""
    data = struct.pack("=8B", 1, *[0] * 7) + struct.pack("=24I", *range(24))
    assert parse_tcp_info(data)["state"] == 1
    assert parse_tcp_info(data)["unacked"] == 4
    assert "snd_wnd" not in parse_tcp_info(data)


@pytest.mark.skipif(not Path("/proc/net/netstat").exists(), reason="Linux only")
def test_a_socket_that_is_not_read_shows_a_closed_window() -> None:
    """The fields are those that they claim to be."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        sender = socket.create_connection(server.getsockname())
        receiver, _ = server.accept()
        with sender, receiver:
            sender.setblocking(False)
            sent = 0
            while True:
                try:
                    sent += sender.send(bytes(1 << 16))
                except BlockingIOError:
                    break
            info = tcp_info(sender)
            assert info["state"] == 1
            assert 0 < info["notsent_bytes"] <= sent
            assert info["sk_wmem_queued"] > 0
            assert tcp_info(receiver)["sk_rmem_alloc"] > 0
            assert AcceptQueue(server.getsockname()[1]).sample() == {"waiting": 0, "sockets": 1}


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="Linux only")
def test_processes_are_found_by_their_port() -> None:
    """This process listens, so it is found; what it says is plausible."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        processes = Processes(None, server.getsockname()[1])
        seen = processes.sample()
        assert seen is not None
        entries = seen["processes"]
        assert isinstance(entries, list)
        mine = next(entry for entry in entries if entry["pid"] == os.getpid())
        assert mine["rss_bytes"] > 1 << 20
        assert mine["descriptors"] > 3
        assert processes.limits[os.getpid()]["open_files"]
        memory = processes.memory()
        assert memory is not None
        assert memory.peak_bytes >= memory.rss_bytes > 1 << 20
        Cgroup(processes).sample()


def test_a_source_says_why_it_sees_nothing() -> None:
    """A reason that helps, instead of an empty list."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(OSError, match="no process of ours listens"):
            Processes(None, unused.getsockname()[1]).sample()
    with pytest.raises(OSError, match="is gone"):
        Processes(2**22 + 1, 1).sample()


@pytest.mark.skipif(not Path("/proc/net/netstat").exists(), reason="Linux only")
def test_net_counters_are_changes() -> None:
    """The first sample is the zero."""
    source = NetCounters()
    assert source.sample() == {}


async def test_stacks_of_nobody() -> None:
    """The reason is py-spy's own."""
    with pytest.raises(OSError, match="py-spy"):
        await take_stacks(2**22 + 1)
