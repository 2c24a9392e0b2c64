"""The faults: what is done to a world that runs, and until when."""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from .world import World, until

__all__ = ("FAULTS", "Fault", "Outcome", "run")


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault.

    Attributes:
        name: What it is called in the table.
        do: Does it, and returns when it is over.
        options: Of the server.
        over_tcp: Whether the nodes reach the server over TCP, through a proxy.
        pad: Characters of each event.
    """

    name: str
    do: Callable[[World, float], Awaitable[None]]
    options: tuple[str, ...] = ()
    over_tcp: bool = False
    pad: int = 60


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of it; `problems` is empty when the promise was kept."""

    name: str
    accepted: int
    refused: dict[str, int]
    in_doubt: int
    arrivals: int
    judged: int
    told: int
    notices: dict[str, int]
    resumes: int
    whole_s: float
    problems: tuple[str, ...]


async def kill_node(world: World, short: float) -> None:
    await world.nodes[1].kill()
    await world.nodes[1].start()


async def kill_server(world: World, short: float) -> None:
    world.server.kill()
    await asyncio.sleep(0.2)
    await asyncio.to_thread(world.server.start)


async def older_snapshot(world: World, short: float) -> None:
    with world.server.client() as client:
        await asyncio.to_thread(client.save)
    dump = world.server.folder / "dump.rdb"
    shutil.copy(dump, world.server.folder / "older")
    await world.arrivals(2000)
    world.server.kill()
    shutil.copy(world.server.folder / "older", dump)
    await asyncio.to_thread(world.server.start)


async def kill_subscribers(world: World, short: float) -> None:
    for _ in range(3):
        with world.server.client() as client:
            client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        await asyncio.sleep(0.3)


async def pause_clients(world: World, short: float) -> None:
    with world.server.client() as client:
        client.client_pause(int(4000 * short), all=True)
    await asyncio.sleep(4 * short)


async def stop_server(world: World, short: float) -> None:
    world.server.signal(signal.SIGSTOP)
    await asyncio.sleep(7 * short)
    world.server.signal(signal.SIGCONT)


async def small_output_buffer(world: World, short: float) -> None:
    with world.server.client() as client:
        client.config_set("client-output-buffer-limit", "pubsub 64kb 16kb 1")
    process = world.nodes[1].process
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    with world.server.client() as client:
        before = _killed(client)
        await until(lambda: _killed(client) != before)
    process.send_signal(signal.SIGCONT)


def _killed(client: Any) -> int:
    info: dict[str, int] = client.info("stats")
    found = info.get("client_output_buffer_limit_disconnections")
    return found if found is not None else -len([c for c in client.client_list() if c["ssub"] != "0"])


async def memory_is_full(world: World, short: float) -> None:
    with world.server.client() as client:
        client.config_set("maxmemory", client.info("memory")["used_memory"] + 500_000)
        await until(lambda: any("OOM" in text for text in world.judge.refused))
        await asyncio.sleep(short)
        client.config_set("maxmemory", 0)


async def flush_functions(world: World, short: float) -> None:
    for _ in range(3):
        with world.server.client() as client:
            client.function_flush("SYNC")
        await asyncio.sleep(0.2)


async def half_open(world: World, short: float) -> None:
    assert world.proxy is not None
    for link in world.proxy.links:
        link.to_server.stall()
        link.to_client.stall()
    await asyncio.sleep(0.1)


FAULTS = (
    Fault("SIGKILL of a node", kill_node),
    Fault("SIGKILL of the server, append-only file", kill_server, ("--appendonly", "yes")),
    Fault("SIGKILL of the server, nothing on disk", kill_server),
    Fault("restart from an older snapshot", older_snapshot),
    Fault("CLIENT KILL TYPE pubsub, 3 times", kill_subscribers),
    Fault("CLIENT PAUSE for 4 s", pause_clients),
    Fault("SIGSTOP of the server for 7 s", stop_server),
    Fault("client-output-buffer-limit of 64 KB, node stalls", small_output_buffer, pad=400),
    Fault("maxmemory reached", memory_is_full),
    Fault("FUNCTION FLUSH, 3 times", flush_functions),
    Fault("half-open TCP connections", half_open, over_tcp=True),
)


async def run(fault: Fault, kind: str, *, deliveries: int, short: float, members: int) -> Outcome:
    """Run a world through a fault, and judge it.

    Args:
        fault: What happens.
        kind: Which server: `redis` or `valkey`.
        deliveries: Events that members get before and after the fault, together.
        short: What the times of the fault are multiplied by.
        members: On each node.
    """
    async with World(kind, *fault.options, over_tcp=fault.over_tcp, pad=fault.pad, members=members) as world:
        await world.arrivals(deliveries // 3)
        await fault.do(world, short)
        whole_s = await world.whole_again()
        await world.arrivals(max(0, deliveries - world.judge.arrivals))
        await world.finish()
        judgement = world.judge.judge()
        problems = [f"{verdict.value} {count}" for verdict, count in judgement.faults.items() if count]
        problems += world.judge.contradictions
        if "Traceback" in "".join(node.log for node in world.nodes):
            problems.append("".join(node.log for node in world.nodes)[-3000:])
        if problems:
            problems.append(str(judgement))
        return Outcome(
            name=fault.name,
            accepted=world.judge.accepted,
            refused=dict(world.judge.refused),
            in_doubt=world.judge.in_doubt,
            arrivals=world.judge.arrivals,
            judged=judgement.owed,
            told=sum(count for verdict, count in judgement.counts.items() if verdict.value == "told"),
            notices=dict(world.judge.notices),
            resumes=sum(member.resumes for member in world.members),
            whole_s=whole_s,
            problems=tuple(problems),
        )
