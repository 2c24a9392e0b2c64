"""The cases: what is measured, on which rows, and what is to be reached."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from bench.load.echo import Echo
from bench.load.fanout import Fanout
from bench.load.idle import Idle
from bench.load.images import Images
from bench.load.latency import Latency
from bench.load.nodes import Nodes
from bench.load.rooms import Rooms
from bench.load.slow import SlowReader
from bench.process import Server
from bench.programs import Program
from bench.sample import Sample

__all__ = ("CASES", "Aim", "Case", "Column", "Load")

OURS = ("roomful-asgi", "roomful", "roomful-fastapi")
PUSHING = (
    "floor", "floor-joined", "transport", "fastapi", "websockets", "picows", "socketify", "node-ws", "channels", *OURS,
)  # fmt: skip


class Load(Protocol):
    """What a case does to a server."""

    @property
    def program(self) -> Program:
        """What the server must run."""

    async def run(self, server: Server, *, seconds: float) -> Sample:
        """Do one round."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a case's table.

    Attributes:
        figure: Its name in a sample.
        title: Its head.
        scale: What the figure is multiplied with.
        digits: How many stand behind the point.
    """

    figure: str
    title: str
    scale: float = 1.0
    digits: int = 2


@dataclass(frozen=True, slots=True)
class Aim:
    """What a row is to reach, as a ratio to another row in the same rounds, or as an amount.

    Attributes:
        figure: Its name in a sample; the less, the better.
        at_most: What must not be exceeded; None where there is only a hope.
        aim: What is hoped for.
        against: The other row, or None where the bound is an amount.
        row: Who is to reach it.
        everywhere: Whether it is to be reached through FastAPI too.
        case: The case of the other row, when it is not the same.
    """

    figure: str
    at_most: float | None
    aim: float | None = None
    against: str | None = None
    row: str = "roomful"
    everywhere: bool = True
    case: str | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One case.

    Attributes:
        name: What `--case` calls it; a prefix chooses several.
        title: A sentence.
        load: What is done.
        rows: On whom, in the order of the table.
        columns: What is shown; the first is the one that the picture and the ratios are of.
        bases: The rows that others are compared with.
        aims: What is to be reached.
        is_fresh: Whether each round needs a server of its own.
        has_tls: Whether it is spoken over TLS.
        rounds: How many rounds it has at most, where more would tell no more.
        is_parallel: Whether the rows may have their turns at the same time, because they only wait.
        pace: The row whose greatest rate sets the load's, and the share of it.
    """

    name: str
    title: str
    load: Load
    rows: tuple[str, ...]
    columns: tuple[Column, ...]
    bases: tuple[str, ...] = ()
    aims: tuple[Aim, ...] = ()
    is_fresh: bool = False
    has_tls: bool = False
    rounds: int | None = None
    is_parallel: bool = False
    pace: tuple[str, float] | None = None


_PER_DELIVERY = (
    Column("cpu_s", "CPU per delivery, µs", 1e6),
    Column("rate", "deliveries/s, thousand", 1e-3, 0),
    Column("writes", "writes per delivery", 1.0, 3),
    Column("batch", "mean batch", 1.0, 1),
    Column("server_share", "server's core, %", 100, 0),
    Column("load_share", "load's core, %", 100, 0),
)
_PER_NODE = (
    Column("cpu_s", "CPU of both nodes per delivery, µs", 1e6),
    Column("pushing_s", "node that pushes, µs", 1e6),
    Column("receiving_s", "node that receives, µs", 1e6),
    Column("redis_s", "Redis per push, µs", 1e6, 0),
    Column("writes", "writes per delivery", 1.0, 3),
    Column("rate", "deliveries/s, thousand", 1e-3, 0),
    Column("load_share", "load's core, %", 100, 0),
)
_PER_ECHO = (
    Column("cpu_s", "CPU per message, µs", 1e6),
    Column("rate", "messages/s, thousand", 1e-3, 0),
    Column("writes", "writes per message", 1.0, 2),
    Column("reads", "reads per message", 1.0, 2),
    Column("server_share", "server's core, %", 100, 0),
    Column("load_share", "load's core, %", 100, 0),
)
_LATENCY = (
    Column("p50", "p50, ms", 1e3),
    Column("p99", "p99, ms", 1e3),
    Column("p999", "p99.9, ms", 1e3),
    Column("offered", "deliveries/s, thousand", 1e-3, 0),
    Column("cpu_s", "CPU per delivery, µs", 1e6),
    Column("late_p99", "load late (p99), ms", 1e3),
)
_IMAGES = (
    Column("missing", "unanswered", 1.0, 0),
    Column("wall_s", "seconds", 1.0, 1),
    Column("peak", "peak of the process, MB", 1 / 2**20, 1),
    Column("before", "before it, MB", 1 / 2**20, 1),
)
_BASES = ("floor", "transport", "fastapi")
_SHARING = ("nodes-channels-redis", "nodes-channels-pubsub", "nodes-socketio", "nodes-roomful")
_APART = (
    Aim("cpu_s", 1 / 30, None, "nodes-channels-redis", row="nodes-roomful"),
    Aim("cpu_s", 1 / 30, None, "nodes-channels-pubsub", row="nodes-roomful"),
    Aim("cpu_s", 1, None, "nodes-socketio", row="nodes-roomful"),
)
_ECHOING = (
    "floor", "transport", "asgi", "fastapi", "websockets", "picows", "socketify", "node-ws", "channels", *OURS,
)  # fmt: skip

CASES = (
    Case(
        "fanout-500-lone", "Fan-out to 500 members, 128 bytes, one message under way",
        Fanout(members=500, under_way=1), PUSHING, _PER_DELIVERY, _BASES,
        (Aim("cpu_s", 1.25, 1.1, "transport"),),
    ),
    Case(
        "fanout-500", "Fan-out to 500 members, 128 bytes, 16 messages under way",
        Fanout(members=500, under_way=16), PUSHING, _PER_DELIVERY, _BASES,
        (Aim("cpu_s", 1 / 15, None, "fastapi"), Aim("cpu_s", 1 / 0.9, 1.0, "socketify")),
    ),
    Case(
        "fanout-2000-lone", "Fan-out to 2,000 members, 128 bytes, one message under way",
        Fanout(members=2000, under_way=1), PUSHING, _PER_DELIVERY, _BASES,
    ),
    Case(
        "fanout-2000", "Fan-out to 2,000 members, 128 bytes, 16 messages under way",
        Fanout(members=2000, under_way=16), PUSHING, _PER_DELIVERY, _BASES,
        (Aim("cpu_s", 1 / 6, None, "fastapi"), Aim("cpu_s", 1 / 0.9, 1.0, "socketify")),
    ),
    Case(
        "reply-500", "Fan-out to 500 members with a reply to the poster, 16 messages under way",
        Fanout(members=500, under_way=16, reply=True), PUSHING, _PER_DELIVERY, _BASES,
        (Aim("cpu_s", 1.5, 1.1, "roomful", case="fanout-500"),),
    ),
    Case(
        "fanout-500-16k", "Fan-out to 500 members, 16 KB, one message under way",
        Fanout(members=500, under_way=1, size=16384), PUSHING, _PER_DELIVERY, _BASES,
    ),
    Case(
        "rooms-1000", "1,000 rooms of 10, each of 2,000 members in 5 of them, 128 bytes, 16 messages under way",
        Rooms(rooms=1000, members=2000, each=5, under_way=16),
        ("fastapi", "websockets", "picows", "socketify", "node-ws", "channels", *OURS),
        _PER_DELIVERY, ("fastapi", "picows"),
    ),
    Case(
        "group-send-500", "`group_send` to 500 consumers that send one text each, 128 bytes, 4 messages under way",
        Fanout(members=500, under_way=4),
        ("channels", "channels-redis", "roomful-channels", "roomful-channels-redis"), _PER_DELIVERY, ("channels",),
        (
            Aim("cpu_s", 1 / 20, None, "channels", row="roomful-channels"),
            Aim("cpu_s", 1 / 15, None, "channels-redis", row="roomful-channels-redis"),
        ),
    ),
    Case(
        "nodes-500-lone", "500 members on each of two nodes that share a Redis, 128 bytes, one message under way",
        Nodes(members=1000, under_way=1), _SHARING, _PER_NODE, _SHARING[:-1], _APART,
    ),
    Case(
        "nodes-500", "500 members on each of two nodes that share a Redis, 128 bytes, 16 messages under way",
        Nodes(members=1000, under_way=16), _SHARING, _PER_NODE, _SHARING[:-1], _APART,
    ),
    Case(
        "nodes-latency-100", "A push on one node to 100 members on another, at half of the rate of pushes one by one",
        Latency(members=200, nodes=2), ("nodes-roomful",), _LATENCY, (),
        (Aim("p99", 0.005, row="nodes-roomful"),),
        rounds=3, pace=("nodes-roomful", 0.5),
    ),
    Case(
        "nodes-latency-500", "A push on one node to 500 members on another, at half of the rate of pushes one by one",
        Latency(members=1000, nodes=2), ("nodes-roomful",), _LATENCY, (),
        rounds=3, pace=("nodes-roomful", 0.5),
    ),
    Case(
        "query-500", "500 connections with one message under way, each with one query by primary key on SQLite",
        Echo(connections=500, under_way=1, asks=True),
        ("orm-fastapi", "orm-channels", "orm-roomful-channels", "orm-roomful"), _PER_ECHO, ("orm-channels",),
    ),
    Case(
        "tls-500", "Fan-out to 500 members over TLS, 128 bytes, 16 messages under way",
        Fanout(members=500, under_way=16),
        ("transport", "fastapi", "websockets", "picows", "socketify", *OURS), _PER_DELIVERY, ("transport", "fastapi"),
        has_tls=True,
    ),
    Case(
        "echo-raw-lone", "Echo of raw text, 50 connections with one message of 128 bytes under way",
        Echo(connections=50, under_way=1), _ECHOING, _PER_ECHO, ("asgi", "floor"),
        (Aim("cpu_s", 1 / 1.8, None, "asgi"), Aim("cpu_s", None, 1.0, "node-ws")),
    ),
    Case(
        "echo-raw", "Echo of raw text, 50 connections with 16 messages of 128 bytes under way each",
        Echo(connections=50, under_way=16), _ECHOING, _PER_ECHO, ("asgi", "floor"),
        (Aim("cpu_s", 1 / 1.8, None, "asgi"), Aim("cpu_s", None, 1.0, "node-ws")),
    ),
    Case(
        "echo-event-lone", "Echo of a checked event, 50 connections with one message of 128 bytes under way",
        Echo(connections=50, under_way=1, is_event=True), ("asgi", *OURS), _PER_ECHO, ("asgi",),
        (Aim("cpu_s", 1 / 1.4, None, "asgi"),),
    ),
    Case(
        "echo-event", "Echo of a checked event, 50 connections with 16 messages of 128 bytes under way each",
        Echo(connections=50, under_way=16, is_event=True), ("asgi", *OURS), _PER_ECHO, ("asgi",),
        (Aim("cpu_s", 1 / 1.4, None, "asgi"),),
    ),
    Case(
        "idle-5000", "5,000 idle connections, in frameworks behind a dependency",
        Idle(connections=5000),
        ("transport", "asgi", "fastapi", "websockets", "picows", "socketify", "node-ws", "channels", *OURS),
        (
            Column("own", "KB per connection", 1 / 1024, 1),
            Column("collection_s", "full collection, ms", 1e3, 0),
            Column("objects", "objects per connection", 1.0, 1),
            Column("connect_s", "CPU per handshake, µs", 1e6, 0),
        ),
        ("fastapi",),
        (Aim("own", 5 * 1024, 3 * 1024, row="roomful-fastapi"),),
        is_fresh=True, rounds=2,
    ),
    Case(
        "latency-500", "Delivery to 500 members at half of the greatest rate of FastAPI's loop",
        Latency(members=500),
        ("floor", "transport", "fastapi", "websockets", "picows", "socketify", "node-ws", *OURS), _LATENCY, _BASES,
        (Aim("p99", 1 / 2, 1 / 4, "fastapi"),),
        rounds=3, pace=("fastapi", 0.5),
    ),
    Case(
        "latency-5000-idle", "Delivery to 500 members at 70 % of Roomful's greatest rate, beside 5,000 idle ones",
        Latency(members=500, idle=5000), ("socketify", "roomful", "roomful-fastapi"), _LATENCY, ("socketify",),
        rounds=3, pace=("roomful", 0.7),
    ),
    Case(
        "slow-reader", "50 members of which one never reads, 2,000 messages of 64 KB",
        SlowReader(members=50, messages=2000, size=65536),
        ("fastapi", "websockets", "picows", "socketify", "node-ws", "channels", *OURS),
        (
            Column("missing", "messages missing at each of the others", 1.0, 0),
            Column("wall_s", "seconds", 1.0, 1),
            Column("peak", "peak of the process, MB", 1 / 2**20, 1),
            Column("before", "before it, MB", 1 / 2**20, 1),
            Column("kernel", "kernel's share of the stuck one, KB", 1 / 1024, 0),
        ),
        (),
        (Aim("missing", 0), Aim("peak", 45 * 2**20, everywhere=False), Aim("kernel", 300 * 1024)),
        is_fresh=True, rounds=1,
    ),
    Case(
        "images-50ms", "300 images of 1 MB from one client, into a handler of 50 ms",
        Images(count=300, handler_s=0.05), ("fastapi", "websockets", *OURS), _IMAGES, (),
        (Aim("missing", 0), Aim("peak", 60 * 2**20)),
        is_fresh=True, rounds=1, is_parallel=True,
    ),
    Case(
        "images-4s", "20 images of 1 MB from one client, into a handler of 4 s",
        Images(count=20, handler_s=4.0), ("fastapi", "websockets", *OURS), _IMAGES, (),
        (Aim("missing", 0), Aim("peak", 60 * 2**20)),
        is_fresh=True, rounds=1, is_parallel=True,
    ),
)  # fmt: skip
