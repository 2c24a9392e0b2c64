"""Two servers of one kind that share a Redis: nodes, each a process of its own, all three on the servers' core."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from bench.process import Server, Usage
from bench.servers.redis_beside import Redis

__all__ = ("Pair",)


class Pair(Server):
    """Two nodes. It is the first of them itself, and what it has used is that of both.

    Args:
        command: What each of them runs; `--redis` with a URL and `--port` with a number are added.
        core: The core that they and Redis are kept on.
        folder: The repository, where they run.
        dialect: How its clients speak; see `bench.load.dialect`.
    """

    def __init__(self, command: Sequence[str], *, core: int, folder: Path, dialect: str = "plain") -> None:
        self.dialect = dialect
        self.redis = Redis()
        os.sched_setaffinity(self.redis.pid, {core})
        command = [*command, "--redis", self.redis.url]
        super().__init__(command, core=core, folder=folder)
        self.other = Server(command, core=core, folder=folder)

    @property
    def ports(self) -> tuple[int, ...]:
        """Where the first and the other listen."""
        return self.port, self.other.port

    @property
    def is_running(self) -> bool:
        """Whether both live."""
        return super().is_running and self.other.is_running

    async def start(self) -> None:
        """Start both.

        Raises:
            RuntimeError: One has ended, or does not listen in time.
        """
        await super().start()
        await self.other.start()

    def stop(self) -> None:
        """Stop both, and Redis. A second call does nothing."""
        super().stop()
        self.other.stop()
        self.redis.stop()

    def errors(self) -> str:
        """Return what both wrote to standard error."""
        return super().errors() + self.other.errors()

    def usage(self) -> Usage:
        """Return what both have used until now."""
        one, other = super().usage(), self.other.usage()
        return Usage(
            one.cpu_s + other.cpu_s,
            _sum(one.writes, other.writes),
            _sum(one.reads, other.reads),
            _sum(one.waits, other.waits),
        )

    async def settle(self, *, timeout_s: float = 10.0) -> None:
        """Wait until neither has anything to do."""
        await super().settle(timeout_s=timeout_s)
        await self.other.settle(timeout_s=timeout_s)


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other
