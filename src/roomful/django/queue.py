"""Queues: channels that belong to no process, in the server, where any worker takes from them.

A worker that waits is told when something comes, and asks once a second besides. What is taken is gone: a worker that
dies with a message has had it.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Final, Protocol, cast

__all__ = ("Command", "Queue")

# An entry is the time when it expires, in milliseconds of the server's clock, a colon, and the message.
_NOW: Final = "local t = redis.call('TIME') local now = t[1] * 1000 + math.floor(t[2] / 1000) "
_HEAD: Final = "local head = redis.call('LINDEX', KEYS[1], 0) "
# What somebody else wrote there has expired long ago.
_EXPIRES: Final = "tonumber(string.match(head, '^(%d+):') or 0)"

_PUT: Final = (
    _NOW
    + f"while true do {_HEAD} if not head or {_EXPIRES} > now then break end redis.call('LPOP', KEYS[1]) end "
    + "if redis.call('LLEN', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end "
    + "redis.call('RPUSH', KEYS[1], string.format('%d', now + ARGV[3]) .. ':' .. ARGV[1]) "
    + "redis.call('PEXPIRE', KEYS[1], ARGV[3]) return 1"
)
_TAKE: Final = (
    _NOW
    + "while true do local head = redis.call('LPOP', KEYS[1]) if not head then return false end "
    + f"if {_EXPIRES} > now then return head end end"
)
_POLL_S: Final = 1.0
_SCAN: Final = 1000


class Command(Protocol):
    """Sends a command to the server."""

    async def __call__(self, *command: str | bytes | int, twice: bool = True) -> object:
        """Return its answer; see `Client.command`."""


class Queue:
    """The channels of one server, and the members of groups that belong to no process.

    Args:
        command: Sends a command to it.
        prefix: With what all keys begin.
        expiry_s: For how long a message waits.
    """

    def __init__(self, command: Command, prefix: str, expiry_s: float) -> None:
        self._command = command
        self._prefix = prefix
        self._expiry_ms = max(1, int(expiry_s * 1000))
        self._arrivals: dict[str, asyncio.Event] = {}

    async def put(self, channel: str, payload: bytes, capacity: int) -> bool:
        """Put a message into a channel; return False when as many wait as may."""
        key = self._key(channel)
        answer = await self._command("EVAL", _PUT, 1, key, payload, capacity, self._expiry_ms, twice=False)
        return answer == 1

    def notice(self, channel: str) -> None:
        """Know that something may have come."""
        if (arrival := self._arrivals.get(channel)) is not None:
            arrival.set()

    async def take(self, channel: str) -> bytes:
        """Remove and return the oldest message, once there is one."""
        arrival = self._arrivals.setdefault(channel, asyncio.Event())
        while True:
            arrival.clear()
            entry = await self._popped(channel)
            if entry is not None:
                return entry.partition(b":")[2]
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_POLL_S):
                    await arrival.wait()

    async def _popped(self, channel: str) -> bytes | None:
        popping = asyncio.ensure_future(self._command("EVAL", _TAKE, 1, self._key(channel), twice=False))
        try:
            return cast("bytes | None", await asyncio.shield(popping))
        except asyncio.CancelledError:
            # It may have been taken already, for somebody who does not want it any more.
            entry = await popping
            if entry is not None:
                await self.put_back(channel, cast("bytes", entry).partition(b":")[2])
            raise

    async def put_back(self, channel: str, payload: bytes) -> None:
        """Put a message back to where it was taken from."""
        script = _NOW + "redis.call('LPUSH', KEYS[1], string.format('%d', now + ARGV[2]) .. ':' .. ARGV[1])"
        await self._command("EVAL", script, 1, self._key(channel), payload, self._expiry_ms, twice=False)

    async def add_member(self, group: str, channel: str, now: float, expiry_s: float) -> None:
        """Add a channel to a group."""
        key = self._members_key(group)
        await self._command("ZADD", key, str(now), channel)
        await self._command("PEXPIRE", key, max(1, int(expiry_s * 1000)))

    async def discard_member(self, group: str, channel: str) -> None:
        """Remove a channel from a group."""
        await self._command("ZREM", self._members_key(group), channel)

    async def members(self, group: str, since: float) -> list[str]:
        """Return the channels that were added to a group since a time."""
        found = await self._command("ZRANGEBYSCORE", self._members_key(group), str(since), "+inf")
        return [name.decode() for name in cast("list[bytes]", found)]

    async def flush(self) -> None:
        """Delete everything under the prefix."""
        cursor: Any = b"0"
        while True:
            answer = await self._command(
                "SCAN", cursor, "MATCH", f"{_escaped(self._prefix)}:*", "COUNT", _SCAN
            )
            cursor, keys = cast("list[Any]", answer)
            if keys:
                await self._command("UNLINK", *keys)
            if int(cursor) == 0:
                return

    def stop(self) -> None:
        """Forget who waits."""
        self._arrivals.clear()

    def _key(self, channel: str) -> str:
        return f"{self._prefix}:queue:{channel}"

    def _members_key(self, group: str) -> str:
        return f"{self._prefix}:group:{group}"


def _escaped(prefix: str) -> str:
    return "".join(f"\\{character}" if character in "*?[]\\" else character for character in prefix)
