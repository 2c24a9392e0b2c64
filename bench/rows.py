"""The rows: the servers that are measured, what each can do, and how it is started."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bench.native import build_floor
from bench.programs import Program

__all__ = ("FOLDER", "ROWS", "Row", "row_named")

FOLDER = Path(__file__).parent.parent

_ROOM = frozenset((Program.FANOUT, Program.REPLY, Program.ROOMS))
_ECHOES = frozenset((Program.ECHO, Program.EVENT))
_ASKING = frozenset((Program.QUERY,))
_SHARING = frozenset((Program.NODES,))
_ALL = frozenset(Program) - _ASKING - _SHARING


@dataclass(frozen=True, slots=True)
class Row:
    """One server.

    Attributes:
        name: What `--row` calls it.
        title: What the tables call it.
        programs: What it can run.
        module: Its module, below `bench.servers`; or None where `command` is given.
        needs: Packages, or what else must be there.
        command: Returns the command of a server that is no Python, for a program; or None where it cannot be had.
        has_tls: Whether it can speak TLS.
        dialect: How its clients speak; see `bench.load.dialect`.
    """

    name: str
    title: str
    programs: frozenset[Program]
    module: str | None = None
    needs: tuple[str, ...] = ()
    command: Callable[[Program], list[str] | None] | None = None
    has_tls: bool = True
    dialect: str = "plain"

    @property
    def answers(self) -> bool:
        """Whether it answers questions about its memory."""
        return self.module is not None

    def missing(self, python: str) -> str | None:
        """Say what it lacks to run, or None."""
        if self.command is not None:
            return None if any(map(self.command, self.programs)) else f"not there: {', '.join(self.needs)}"
        absent = [name for name in self.needs if not _has(python, name)]
        return f"not installed: {', '.join(absent)}" if absent else None

    def start_command(
        self, python: str, program: Program, *, certificate: Path | None = None, handler_s: float = 0.0
    ) -> list[str] | None:
        """Return the command that starts it."""
        if self.command is not None:
            return self.command(program)
        command = [python, "-m", f"bench.servers.{self.module}", program, "--handler-s", str(handler_s)]
        return command if certificate is None else [*command, "--certificate", str(certificate)]


@cache
def _has(python: str, package: str) -> bool:
    found = subprocess.run([python, "-c", f"import {package}"], capture_output=True, check=False)
    return found.returncode == 0


def _floor(program: Program) -> list[str] | None:
    built = build_floor()
    return None if built is None else [str(built), program]


def _floor_joined(program: Program) -> list[str] | None:
    built = build_floor()
    return None if built is None else [str(built), f"{program}-joined"]


def _node(program: Program) -> list[str] | None:
    node = shutil.which("node")
    if node is None or not (FOLDER / ".cache/bench/node_modules/ws").exists():
        return None
    return [node, str(FOLDER / "bench/servers/node_ws.cjs"), program]


ROWS = (
    Row("floor", "kernel's floor (C, one send each)", frozenset((Program.FANOUT, Program.REPLY, Program.ECHO)),
        needs=("a C compiler",), command=_floor, has_tls=False),
    Row("floor-joined", "kernel's floor (C, joined)", frozenset((Program.FANOUT, Program.REPLY)),
        needs=("a C compiler",), command=_floor_joined, has_tls=False),
    Row("transport", "raw transport loop (uvloop)", _ROOM - {Program.ROOMS} | {Program.ECHO, Program.IDLE},
        "transport_loop", ("uvloop",)),
    Row("asgi", "bare ASGI on uvicorn", _ECHOES | {Program.IDLE}, "bare_asgi", ("uvicorn", "websockets")),
    Row("fastapi", "FastAPI's loop on uvicorn", _ALL - {Program.EVENT}, "fastapi_loop",
        ("fastapi", "uvicorn", "websockets")),
    Row("websockets", "websockets.broadcast", _ALL - {Program.EVENT}, "websockets_broadcast", ("websockets",)),
    Row("picows", "picows", _ALL - {Program.EVENT, Program.IMAGES}, "picows_loop", ("picows",)),
    Row("socketify", "socketify (uWebSockets, C++)", _ALL - {Program.EVENT, Program.IMAGES}, "socketify_topic",
        ("socketify",)),
    Row("node-ws", "node ws (JavaScript)", _ALL - {Program.EVENT, Program.IMAGES},
        needs=("node", "its package ws"), command=_node, has_tls=False),
    Row("channels", "Channels in memory on uvicorn", _ALL - {Program.EVENT, Program.IMAGES}, "channels_memory",
        ("channels",)),
    Row("channels-redis", "Channels on Redis on uvicorn", _ROOM, "channels_redis", ("channels", "channels_redis")),
    Row("roomful-channels", "Channels' consumers on Roomful, in memory", _ALL - {Program.EVENT, Program.IMAGES},
        "roomful_channels_memory", ("roomful", "channels", "uvicorn")),
    Row("roomful-channels-redis", "Channels' consumers on Roomful, on Redis", _ROOM, "roomful_channels_redis",
        ("roomful", "channels", "hiredis", "uvicorn")),
    Row("orm-fastapi", "FastAPI with SQLAlchemy", _ASKING, "orm_fastapi",
        ("fastapi", "sqlalchemy", "aiosqlite", "uvicorn")),
    Row("orm-channels", "Channels with Django's ORM", _ASKING, "orm_channels", ("channels", "uvicorn")),
    Row("orm-roomful-channels", "Channels' consumers on Roomful with Django's ORM", _ASKING, "orm_roomful_channels",
        ("roomful", "channels", "uvicorn")),
    Row("orm-roomful", "Roomful with Django's ORM", _ASKING, "orm_roomful", ("roomful", "channels", "uvicorn")),
    Row("nodes-channels-redis", "channels_redis on two nodes", _SHARING, "nodes_channels_redis",
        ("channels", "channels_redis", "uvicorn")),
    Row("nodes-channels-pubsub", "channels_redis' pub/sub layer on two nodes", _SHARING, "nodes_channels_pubsub",
        ("channels", "channels_redis", "uvicorn")),
    Row("nodes-socketio", "python-socketio's Redis manager on two nodes", _SHARING, "nodes_socketio",
        ("socketio", "redis", "uvicorn"), dialect="socketio"),
    Row("nodes-roomful", "Roomful on two nodes", _SHARING, "nodes_roomful", ("roomful", "hiredis", "uvicorn")),
    Row("roomful-asgi", "Roomful, plain ASGI", _ALL, "roomful_asgi", ("roomful", "uvicorn", "websockets")),
    Row("roomful", "Roomful", _ALL, "roomful_fast", ("roomful", "uvicorn")),
    Row("roomful-fastapi", "Roomful through FastAPI", _ALL, "roomful_fastapi", ("roomful", "fastapi", "uvicorn")),
)  # fmt: skip


def row_named(name: str) -> Row:
    """Return a row.

    Raises:
        KeyError: There is none of this name.
    """
    return {row.name: row for row in ROWS}[name]
