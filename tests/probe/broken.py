"""The servers of `examples/broken`: which causes each has, and which knob moves it."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass

__all__ = ("BROKEN", "Broken", "missing")

# A network namespace for the probe itself, so that the tunnel is in nobody's way.
_NAMESPACE = ("unshare", "--net")


@dataclass(frozen=True, slots=True)
class Broken:
    """A server.

    Attributes:
        name: Of its module.
        causes: What is to be named; nothing for a sound one.
        also: What may be named besides, as it is true too.
        knob: What proves it.
        before: What the probe is started by.
        options: What the probe needs to reach it.
    """

    name: str
    causes: frozenset[str]
    also: frozenset[str] = frozenset()
    knob: str | None = None
    before: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


def missing(broken: Broken) -> str | None:
    """Return why a server cannot run here, `None` when it can."""
    if broken.name == "redis_fanout" and not (shutil.which("redis-server") or shutil.which("valkey-server")):
        return "redis-server is not installed"
    if broken.before:
        try:
            command = [*broken.before, "ip", "tuntap", "add", "dev", "tried", "mode", "tun"]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
        except FileNotFoundError as error:
            return f"{error.filename} is not installed"
        if done.returncode:
            return f"no tunnel in a network namespace of its own: {done.stderr.strip()}"
    return None


def _broken(name: str, *causes: str, also: tuple[str, ...] = (), knob: str | None = None) -> Broken:
    return Broken(name, frozenset(causes), frozenset(also), knob)


BROKEN = (
    _broken("blocking_call", "blocking", knob="env:BLOCK_MS=20,40"),
    _broken("slow_handler", "slow_handler", knob="env:SLOW_MS=25,50"),
    _broken("cpu_handler", "cpu", knob="env:CPU_MS=20,40"),
    _broken("size_limit", "too_big", knob="env:MAX_SIZE=65536,131072"),
    # Its handler is slow, and that is true too.
    _broken("keepalive", "keepalive", also=("slow_handler",), knob="env:PING_MS=400,800"),
    _broken("queue_newest", "queue_newest", knob="env:QUEUE=50,100"),
    _broken("queue_oldest", "queue_oldest", knob="env:QUEUE=50,100"),
    _broken("memory", "memory", knob="env:MEMORY_MB=150,300"),
    _broken("descriptors", "descriptors", knob="env:FILES=64,128"),
    _broken("backlog", "backlog", knob="env:BACKLOG=2,256"),
    _broken("idle_proxy", "proxy", knob="env:IDLE_MS=2000,4000"),
    _broken("redis_fanout", "redis_buffer", knob="env:BUFFER_KB=128,256"),
    Broken(
        "lossy_network",
        frozenset({"network"}),
        before=_NAMESPACE,
        options=("--url", "ws://198.18.0.2:8000/ws", "--i-may-load-this-host"),
    ),
    _broken("reorders", "reorders", knob="env:SPREAD_MS=2,0"),
    _broken("duplicates", "duplicates", knob="env:REPEAT_EVERY=20,0"),
    _broken("corrupts", "corrupts", knob="env:COLUMN=50000,0"),
    _broken("two_faults", "blocking", "too_big", knob="env:BLOCK_MS=20,40"),
    _broken("healthy_roomful"),
    _broken("healthy_fastapi"),
    _broken("healthy_channels"),
)
