"""What is no room name is refused alike wherever a room is named."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from roomful.core.errors import RoomNameError
from roomful.hub import Connection, Engine
from tests.hub.scene import Scene

Entry = Callable[[Engine, Connection, Any], Awaitable[object] | object]

ENTRIES: dict[str, Entry] = {
    "push": lambda engine, _, room: engine.pushing.push(room, "text"),
    "push_nowait": lambda engine, _, room: engine.pushing.push_nowait(room, "text"),
    "join": lambda _, connection, room: connection.join(room),
    "leave": lambda _, connection, room: connection.leave(room),
}


async def called(entry: Entry, engine: Engine, connection: Connection, room: object) -> None:
    result = entry(engine, connection, room)
    if isinstance(result, Awaitable):
        await result


@pytest.mark.parametrize("room", [None, 5, b"lobby", ["lobby"], {"lobby"}, {}, object()])
@pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES)
async def test_room_that_is_no_text_is_refused(scene: Scene, entry: Entry, room: object) -> None:
    client = await scene.member("lobby")
    client.connection.resume({"elsewhere": "e:1"})
    with pytest.raises(RoomNameError, match=rf"^room name is of type {type(room).__name__}; expected str$"):
        await called(entry, scene.engine, client.connection, room)
    assert client.connection.rooms == {"lobby"}
    assert client.written == []
