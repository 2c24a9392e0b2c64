"""The layered example's rules and use cases, with a fake pusher and no socket."""

from __future__ import annotations

import ast
import copy
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from examples.layered.database import SqlRooms, open_database
from examples.layered.domain.entity import Event, Room, RoomId, User
from examples.layered.domain.errors import (
    DomainError,
    InvalidValue,
    NameTaken,
    NotAMember,
    RoomChanged,
    RoomClosed,
    RoomFull,
    RoomNotFound,
)
from examples.layered.domain.repository import RoomRepository
from examples.layered.domain.service import Pusher
from examples.layered.usecase import CloseRoom, CreateRoom, JoinRoom, LeaveRoom, ListRooms, ShowRoom

ADA, BOB, CYD = User("Ada"), User("Bob"), User("Cyd")


class FakeRooms:
    """Rooms in a dict. Like the port says, it hands out copies, and finds out who was quicker."""

    def __init__(self, shelf: dict[RoomId, tuple[int, Room]]) -> None:
        self._shelf = shelf
        self._seen: dict[RoomId, int] = {}

    async def add(self, room: Room) -> None:
        self._shelf[room.id] = (0, copy.deepcopy(room))

    async def get(self, room_id: RoomId) -> Room:
        if room_id not in self._shelf:
            raise RoomNotFound("there is no such room")
        self._seen[room_id], room = self._shelf[room_id]
        return copy.deepcopy(room)

    async def list(self) -> Sequence[Room]:
        return sorted((copy.deepcopy(room) for _, room in self._shelf.values()), key=lambda room: room.title)

    async def save(self, room: Room) -> None:
        version, _ = self._shelf[room.id]
        if version != self._seen[room.id]:
            raise RoomChanged("somebody was quicker")
        self._shelf[room.id] = (version + 1, copy.deepcopy(room))
        self._seen[room.id] = version + 1


class FakePusher:
    """Remembers what was pushed, and what the room held at that moment."""

    def __init__(self, open_rooms: Callable[[], Awaitable[RoomRepository]]) -> None:
        self.pushed: list[tuple[RoomId, Event]] = []
        self.saved_by_then: list[list[User]] = []
        self._open_rooms = open_rooms

    async def push(self, room_id: RoomId, event: Event) -> None:
        room = await (await self._open_rooms()).get(room_id)
        self.saved_by_then.append(room.members)
        self.pushed.append((room_id, event))


@pytest.fixture(params=["fake", "sqlite"])
async def open_rooms(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[Callable[[], Awaitable[RoomRepository]]]:
    """A new repository at each call, as each use case has; all see the same rooms."""
    if request.param == "fake":
        shelf: dict[RoomId, tuple[int, Room]] = {}

        async def fake() -> RoomRepository:
            return FakeRooms(shelf)

        yield fake
        return
    async with open_database(f"sqlite+aiosqlite:///{tmp_path}/rooms.db") as database:
        opened = []

        async def sqlite() -> RoomRepository:
            opened.append(context := database())
            return await context.__aenter__()

        yield sqlite
        for context in opened:
            await context.__aexit__(None, None, None)


@pytest.fixture
async def rooms(open_rooms: Callable[[], Awaitable[RoomRepository]]) -> RoomRepository:
    return await open_rooms()


@pytest.fixture
def pusher(open_rooms: Callable[[], Awaitable[RoomRepository]]) -> FakePusher:
    return FakePusher(open_rooms)


def test_ports_are_kept_by_their_implementations(pusher: FakePusher) -> None:
    """The type checker compares each implementation with its port here."""
    ports: tuple[Pusher, type[RoomRepository], type[RoomRepository]] = (pusher, FakeRooms, SqlRooms)

    assert len(ports) == 3


async def test_join_saves_and_then_pushes(rooms: RoomRepository, pusher: FakePusher) -> None:
    """Whoever hears of a JOIN can rely on it: it has been saved."""
    room = await CreateRoom(rooms)("Tea", 2)

    await JoinRoom(rooms, pusher)(room.id, ADA)

    assert [(room.id, Event("JOIN", {"user": "Ada"}))] == pusher.pushed
    assert pusher.saved_by_then == [[ADA]]
    assert (await ShowRoom(rooms)(room.id)).members == [ADA]


async def test_leave_saves_and_then_pushes(rooms: RoomRepository, pusher: FakePusher) -> None:
    """A place that is given up can be taken again."""
    room = await CreateRoom(rooms)("Tea", 1)
    await JoinRoom(rooms, pusher)(room.id, ADA)

    await LeaveRoom(rooms, pusher)(room.id, ADA)
    await JoinRoom(rooms, pusher)(room.id, BOB)

    assert [event.type for _, event in pusher.pushed] == ["JOIN", "LEAVE", "JOIN"]
    assert pusher.saved_by_then == [[ADA], [], [BOB]]


async def test_close_lets_nobody_in_and_everybody_out(rooms: RoomRepository, pusher: FakePusher) -> None:
    """A closed room keeps its members until they leave."""
    room = await CreateRoom(rooms)("Tea", 3)
    await JoinRoom(rooms, pusher)(room.id, ADA)
    await CloseRoom(rooms, pusher)(room.id)

    with pytest.raises(RoomClosed):
        await JoinRoom(rooms, pusher)(room.id, BOB)
    with pytest.raises(RoomClosed):
        await CloseRoom(rooms, pusher)(room.id)
    await LeaveRoom(rooms, pusher)(room.id, ADA)

    assert [event.type for _, event in pusher.pushed] == ["JOIN", "CLOSE", "LEAVE"]


@pytest.mark.parametrize(
    ("user", "error"),
    [(BOB, NameTaken), (CYD, RoomFull)],
    ids=["name taken", "room full"],
)
async def test_join_refused_saves_and_pushes_nothing(
    user: User, error: type[DomainError], rooms: RoomRepository, pusher: FakePusher
) -> None:
    """A refused wish leaves no trace, and nobody hears of it."""
    room = await CreateRoom(rooms)("Tea", 2)
    await JoinRoom(rooms, pusher)(room.id, ADA)
    await JoinRoom(rooms, pusher)(room.id, BOB)

    with pytest.raises(error):
        await JoinRoom(rooms, pusher)(room.id, user)

    assert (await ShowRoom(rooms)(room.id)).members == [ADA, BOB]
    assert len(pusher.pushed) == 2


async def test_unknown_room_and_member_are_said(rooms: RoomRepository, pusher: FakePusher) -> None:
    """What does not exist cannot be joined, left, closed or shown."""
    room = await CreateRoom(rooms)("Tea", 2)
    nowhere = RoomId("nowhere")

    for wish in (
        JoinRoom(rooms, pusher)(nowhere, ADA),
        LeaveRoom(rooms, pusher)(nowhere, ADA),
        CloseRoom(rooms, pusher)(nowhere),
        ShowRoom(rooms)(nowhere),
    ):
        with pytest.raises(RoomNotFound):
            await wish
    with pytest.raises(NotAMember):
        await LeaveRoom(rooms, pusher)(room.id, ADA)

    assert pusher.pushed == []


async def test_two_at_once_cannot_take_one_place(
    open_rooms: Callable[[], Awaitable[RoomRepository]], pusher: FakePusher
) -> None:
    """Somebody was quicker between reading and saving: nothing is overwritten, nothing untrue pushed."""
    mine, theirs = await open_rooms(), await open_rooms()
    room = await CreateRoom(mine)("Tea", 1)
    as_i_saw_it = await mine.get(room.id)
    await JoinRoom(theirs, pusher)(room.id, BOB)

    as_i_saw_it.join(ADA)
    with pytest.raises(RoomChanged):
        await mine.save(as_i_saw_it)

    assert (await (await open_rooms()).get(room.id)).members == [BOB]
    assert [(room.id, Event("JOIN", {"user": "Bob"}))] == pusher.pushed


async def test_rooms_are_listed_by_title(rooms: RoomRepository) -> None:
    """A list has one order, whoever asks."""
    for title in ("Tea", "Books", "Music"):
        await CreateRoom(rooms)(title, 5)

    assert [room.title for room in await ListRooms(rooms)()] == ["Books", "Music", "Tea"]


@pytest.mark.parametrize("name", ["", " ", " Ada", "Ada ", "a\nb", "x" * 25, "\u202eadA"])
def test_name_that_cannot_be_shown_is_refused(name: str) -> None:
    """A name is printable, not too long, and looks like what it is."""
    with pytest.raises(InvalidValue):
        User(name)


@pytest.mark.parametrize(
    ("title", "capacity"), [("", 2), ("x" * 61, 2), ("a\0b", 2), ("Tea", 0), ("Tea", 51)]
)
async def test_room_that_cannot_be_is_refused(title: str, capacity: int, rooms: RoomRepository) -> None:
    """Neither a title nor a number of places is taken as it comes."""
    with pytest.raises(InvalidValue):
        await CreateRoom(rooms)(title, capacity)

    assert list(await ListRooms(rooms)()) == []


def test_inner_layers_import_nothing_of_the_outer_ones() -> None:
    """`domain` imports the standard library and itself, `usecase` also `domain`: no framework, no Roomful."""
    layered = Path(__file__).parents[2] / "examples" / "layered"
    allowed = {"domain": ("domain",), "usecase": ("domain", "usecase")}
    stdlib = {"__future__", "collections", "dataclasses", "secrets", "typing"}

    for layer, inner in allowed.items():
        for file in (layered / layer).rglob("*.py"):
            here = file.relative_to(layered).parent.parts
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Import):
                    assert {alias.name.split(".")[0] for alias in node.names} <= stdlib, file
                elif isinstance(node, ast.ImportFrom) and node.level == 0:
                    assert (node.module or "").split(".")[0] in stdlib, file
                elif isinstance(node, ast.ImportFrom):
                    target = (*here[: len(here) - node.level + 1], *(node.module or "").split("."))
                    assert target[0] in inner, (file, target)
