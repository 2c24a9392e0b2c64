"""The rooms, over HTTP."""

from __future__ import annotations

from typing import Self

from fastapi import APIRouter, Response
from pydantic import BaseModel

from ...domain.entity import Room, RoomId, User
from ...usecase import CloseRoom, CreateRoom, JoinRoom, LeaveRoom, ListRooms, ShowRoom
from ..dependencies import PusherPort, Rooms

__all__ = ("router",)

router = APIRouter(prefix="/rooms")


class NewRoom(BaseModel):
    title: str
    capacity: int


class NewMember(BaseModel):
    name: str


class RoomView(BaseModel):
    id: str
    title: str
    capacity: int
    is_open: bool
    members: list[str]

    @classmethod
    def of(cls, room: Room) -> Self:
        return cls(
            id=room.id,
            title=room.title,
            capacity=room.capacity,
            is_open=room.is_open,
            members=[user.name for user in room.members],
        )


@router.post("", status_code=201)
async def create_room(wish: NewRoom, rooms: Rooms, response: Response) -> RoomView:
    room = await CreateRoom(rooms)(wish.title, wish.capacity)
    response.headers["Location"] = f"rooms/{room.id}"
    return RoomView.of(room)


@router.get("")
async def list_rooms(rooms: Rooms) -> list[RoomView]:
    return [RoomView.of(room) for room in await ListRooms(rooms)()]


@router.get("/{room_id}")
async def show_room(room_id: str, rooms: Rooms) -> RoomView:
    return RoomView.of(await ShowRoom(rooms)(RoomId(room_id)))


@router.post("/{room_id}/members", status_code=201)
async def join_room(room_id: str, wish: NewMember, rooms: Rooms, pusher: PusherPort) -> RoomView:
    return RoomView.of(await JoinRoom(rooms, pusher)(RoomId(room_id), User(wish.name)))


@router.delete("/{room_id}/members/{name}")
async def leave_room(room_id: str, name: str, rooms: Rooms, pusher: PusherPort) -> RoomView:
    return RoomView.of(await LeaveRoom(rooms, pusher)(RoomId(room_id), User(name)))


@router.post("/{room_id}/close")
async def close_room(room_id: str, rooms: Rooms, pusher: PusherPort) -> RoomView:
    return RoomView.of(await CloseRoom(rooms, pusher)(RoomId(room_id)))
