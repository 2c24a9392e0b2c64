"""The socket: a feed for whoever watches a room, and the pusher that fills it."""

from .feed import RoomFeed
from .pusher import HubPusher

__all__ = ("HubPusher", "RoomFeed")
