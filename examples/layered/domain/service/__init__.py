"""The ports for what others must do."""

from .pusher import Pusher

__all__ = ("Pusher",)
