"""The torture: all clients of a plan against one server, through a proxy that breaks what it carries.

The server's code is not touched; whoever wants to know whether the nemesis finds a fault plants one there.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter, deque
from collections.abc import Callable
from typing import Final

from ..fault_proxy import FaultProxy
from ..faults import TRANSPARENT, Script
from .client import Client
from .plan import Plan, Visit
from .record import Record
from .report import Report
from .server import Server

__all__ = ("torture",)

_LOOK_S: Final = 0.02
_RECEIVE_BUFFER: Final = 8192  # of the proxy, so that a client that stalls is felt by the server soon
_CALM_AT_ONCE: Final = 50  # clients that become whole side by side


async def torture(
    server: Server,
    plan: Plan,
    *,
    path: str = "/nemesis/",
    progress: Callable[[int], None] | None = None,
) -> Report:
    """Do to a server what a plan says, let everybody become whole, and judge.

    Args:
        server: A server that has been started; it still runs when this returns.
        plan: What is done.
        path: Where `Subject` is mounted, up to the names of the rooms.
        progress: Called now and then with the number of events that have arrived.

    Returns:
        The report; what it found is no exception.

    Raises:
        ChildProcessError: The server did not start again.
        TimeoutError: It did not start in time, or did not end when it was asked to.

    Cancellation: all connections are ended.
    """
    scene = _Scene(server, plan, progress)
    async with FaultProxy(
        server.port, script=scene.next_script, receive_buffer_bytes=_RECEIVE_BUFFER
    ) as proxy:
        return await scene.play(path, proxy)


class _Scene:
    """Implements the port `client.Scene`."""

    def __init__(self, server: Server, plan: Plan, progress: Callable[[int], None] | None) -> None:
        self.record: Record = Record()
        self.plan: Plan = plan
        self.run: str = secrets.token_hex(4)
        self.life: int = 0
        self._server = server
        self._progress = progress
        self._scripts: deque[Script] = deque()
        self._proxy: FaultProxy | None = None

    def port(self, visit: Visit | None) -> int:
        """Return where to connect, at once."""
        if visit is None or visit.script is None or self._proxy is None:
            return self._server.port
        self._scripts.append(visit.script)
        return self._proxy.port

    def next_script(self, _number: int) -> Script:
        """Return the script of the next connection that the proxy accepts; they come in the order of `port`."""
        return self._scripts.popleft() if self._scripts else TRANSPARENT

    async def play(self, path: str, proxy: FaultProxy) -> Report:
        """Run everything, and judge."""
        self._proxy = proxy
        loop = asyncio.get_running_loop()
        began = loop.time()
        clients = [Client(number, self, path) for number in range(self.plan.clients)]
        async with asyncio.TaskGroup() as group:
            lives = [group.create_task(client.live()) for client in clients]
            await self._watch(loop.time() + self.plan.longest_s)
            for life in lives:
                life.cancel()
        gate = asyncio.Semaphore(_CALM_AT_ONCE)
        ends = await asyncio.gather(*(self._calm(client, gate) for client in clients))
        outbound, inbound = self.record.judge()
        return Report(
            plan=self.plan,
            outbound=outbound,
            inbound=inbound,
            contradictions=tuple(self.record.contradictions),
            stuck=tuple(number for number, is_whole in enumerate(ends) if not is_whole),
            closes=sum((Counter(client.closes) for client in clients), Counter()),
            breaks={how.value: count for how, count in proxy.breaks.items()},
            notices=dict(self.record.notices),
            recoveries=dict(self.record.recoveries),
            lives=self.life + 1,
            seconds=loop.time() - began,
        )

    async def _watch(self, until: float) -> None:
        """End the server when the plan says so, and everything when enough has arrived."""
        killings = deque(self.plan.killings())
        loop = asyncio.get_running_loop()
        while (killings or self.record.arrivals < self.plan.deliveries) and loop.time() < until:
            await asyncio.sleep(_LOOK_S)
            if self._progress is not None:
                self._progress(self.record.arrivals)
            if killings and self.record.arrivals >= killings[0].at * self.plan.deliveries:
                await self._begin_anew(in_order=killings.popleft().in_order)

    async def _begin_anew(self, *, in_order: bool) -> None:
        if in_order:
            await self._server.stop()
        else:
            await self._server.kill()
        await self._server.start()
        self.life += 1
        assert self._proxy is not None  # it is being played
        self._proxy.server_port = self._server.port

    @staticmethod
    async def _calm(client: Client, gate: asyncio.Semaphore) -> bool:
        async with gate:
            try:
                await client.become_whole()
            except TimeoutError:
                return False
            return True
