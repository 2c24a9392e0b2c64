"""The programs of the how-tos on presence and on dispatch do what their pages say."""

from __future__ import annotations

import runpy
from typing import Any

from roomful.testing import Client, Received, connect

from .pages import ROOT

CODE = ROOT / "docs/how-to/code"


async def told(client: Client, type_: str) -> Received:
    """Return the next message of a type."""
    while (received := await client.receive()).type != type_:
        pass
    return received


async def test_page_is_told_who_is_there_and_what_changes() -> None:
    """A snapshot first, then each change; `hub.presence` knows the same."""
    program = runpy.run_path(str(CODE / "presence.py"))
    app = _routed(program, "Chat", room="lobby", name="Ada")
    other = _routed(program, "Chat", room="lobby", name="Bob")

    async with program["hub"], connect(app, "/") as ada:
        assert (await told(ada, "roomful.presence")).fields["who"] == "Ada"
        async with connect(other, "/") as bob:
            assert (await told(ada, "roomful.presence")).fields["who"] == "Bob"
            assert (await told(bob, "roomful.occupants")).fields["who"].keys() >= {"Ada"}  # type: ignore[attr-defined]
            await bob.send('{"type":"mood","data":"tired"}')
            assert (await told(ada, "roomful.presence")).fields["info"] == {"mood": "tired"}
            assert await program["names"]("lobby") == ["Ada", "Bob"]


async def test_alarm_reaches_whoever_is_on_call_there() -> None:
    """Each consumer decides for itself; a dispatcher that asks is told that all took it."""
    program = runpy.run_path(str(CODE / "dispatch.py"))
    north, south = (_routed(program, "OnCall", region=region) for region in ("north", "south"))

    async with program["hub"], connect(north, "/") as one, connect(south, "/") as two:
        await program["raise_alarm"]("north", "fire")
        await program["raise_alarm"]("south", "flood")
        assert await program["raise_or_say"]("south", "storm") == 0

        assert (await one.receive()).data == {"region": "north", "text": "fire"}
        assert [(await two.receive()).data for _ in range(2)] == [
            {"region": "south", "text": "flood"},
            {"region": "south", "text": "storm"},
        ]


def _routed(program: dict[str, Any], name: str, /, **parameters: str) -> Any:
    """Return the consumer's application as a router calls it."""
    app = program[name].as_asgi(hub=program["hub"])

    async def routed(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "path_params": parameters}, receive, send)

    return routed
