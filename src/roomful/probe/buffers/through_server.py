"""The same question through a FastAPI server: does it lose messages that it has not read yet?"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress

from roomful.probe.adapter import PlainAdapter
from roomful.probe.child import Child
from roomful.probe.evidence.tcp_info import tcp_info
from roomful.probe.fleet import Fleet
from roomful.probe.mode import Mode
from roomful.probe.payloads import make_recipe
from roomful.probe.schedule import Constant
from roomful.probe.target import Target
from roomful.probe.traffic import Traffic

__all__ = ("ask_server",)

_PAUSE_S = 3.0
_MESSAGES = 60
_SIZE = 1_000_000
_START_S = 20.0
_PATIENCE_S = 30.0
_SAMPLE_S = 0.1


async def ask_server() -> dict[str, object]:
    """Start the program, send it 60 MB while it does not read, and see what comes back once it does.

    Raises:
        ProbeError: FastAPI or uvicorn is not installed, or it does not start.
    """
    child = await Child.start([sys.executable, "-m", "roomful.probe.buffers.program", str(_PAUSE_S)])
    fleet: Fleet | None = None
    try:
        url = await child.find_url("/ws", timeout_s=_START_S)
        fleet = Fleet(Target(url), PlainAdapter(), max_bytes=64 << 20)
        connections = await fleet.open(1)
        traffic = Traffic(
            connections,
            make_recipe("text", _SIZE),
            Constant(_MESSAGES / 0.5, _MESSAGES),
            mode=Mode.ECHO,
            run="buffer",
            deadline_s=_PATIENCE_S,
            adapter=PlainAdapter(),
        )
        samples: list[dict[str, object]] = []
        traffic.start()
        paused_at: int | None = None
        while traffic.now_s < _PATIENCE_S and not (traffic.offered == _MESSAGES and traffic.complete):
            sock = connections[0].socket
            if sock is None:
                break
            info = {}
            with suppress(OSError):
                info = tcp_info(sock)
            samples.append(
                {
                    "t_s": round(traffic.now_s, 3),
                    "offered": traffic.offered,
                    "arrived": traffic.arrived,
                    "unsent_bytes": connections[0].unsent,
                    **{
                        name: info.get(name)
                        for name in ("snd_wnd", "notsent_bytes", "unacked", "rwnd_limited_us")
                    },
                }
            )
            if traffic.arrived == 0:
                paused_at = traffic.offered
            await asyncio.sleep(_SAMPLE_S)
        traffic.finish()
        judgement = traffic.ledger.judge()
        return {
            "messages": _MESSAGES,
            "size": _SIZE,
            "pause_s": _PAUSE_S,
            "offered_while_unread": paused_at,
            "counts": {verdict.value: count for verdict, count in judgement.counts.items()},
            "samples": samples,
        }
    finally:
        if fleet is not None:
            await fleet.close()
        await child.stop()
