"""Which path leads where."""

from __future__ import annotations

from fastapi import APIRouter

from roomful import Hub
from roomful.fastapi import consumer_route

from .handler import rooms
from .ws import RoomFeed

__all__ = ("create_router",)


def create_router(hub: Hub) -> APIRouter:
    """Return all routes of the application; its feeds belong to `hub`."""
    router = APIRouter()
    router.include_router(rooms.router)
    consumer_route(router, "/rooms/{room_id}/feed", hub=hub)(RoomFeed)
    return router
