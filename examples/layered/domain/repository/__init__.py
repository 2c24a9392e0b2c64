"""The ports for what must be remembered."""

from .rooms import RoomRepository

__all__ = ("RoomRepository",)
